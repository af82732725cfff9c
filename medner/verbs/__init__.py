"""What the verbs do once their options are checked; each is imported by the file of its name."""
