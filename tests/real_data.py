"""Real corpora and tokenizers, which tests are held against where a machine has them.

They are other people's, and no part of the project: the README says how to get the corpora.
"""

import os

import pytest

CORPORA = os.environ.get("MEDNER_CORPORA")
MIRROR = os.environ.get("MEDNER_MODEL_MIRROR")
NO_CORPORA = "the corpora are not part of the project: MEDNER_CORPORA=FOLDER says where they are"
NO_MIRROR = "the encoders' tokenizers are not part of the project: MEDNER_MODEL_MIRROR=FOLDER"
needs_corpora = pytest.mark.skipif(not CORPORA, reason=NO_CORPORA)
