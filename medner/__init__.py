"""MedNER: clinical named entity recognition whose scores can be trusted."""
