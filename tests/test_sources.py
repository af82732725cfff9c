"""One definition of a corpus serves training and evaluation, and is true of the real one."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from real_data import CORPORA, needs_corpora

from medner.corpora import CorpusSource, read_corpus
from medner.data_report import fingerprint
from medner.errors import ConfigError
from medner.schema import PROJECT, CorpusConfig, register
from medner.sources import open_corpus

BOTH = ("bc5cdr", "bigbio", "brat", "conll", "jsonl", "maccrobat", "ncbi", "pubtator", "tokens")


def composed(verb: str, *overrides: str) -> DictConfig:
    register()
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        return compose(verb, overrides=list(overrides))


@pytest.mark.parametrize("name", BOTH)
def test_to_train_on_and_to_evaluate_on_a_corpus_is_the_same(name: str) -> None:
    data = composed("train", f"data={name}").data
    dataset = composed("evaluate", f"eval_dataset={name}").eval_dataset
    for option in (option.name for option in fields(CorpusConfig)):
        assert data[option] == dataset[option], option


@pytest.mark.parametrize("name", ["ncbi", "bc5cdr", "maccrobat"])
def test_a_folder_below_corpora_dir_is_taken(corpora: Path, name: str) -> None:
    options = composed("train", f"data={name}").data
    corpus = open_corpus(options, corpora)
    assert options.path == str(corpora / options.release.folder)
    assert corpus.name == name
    assert corpus == open_corpus(
        composed("train", f"data={name}", f"data.path={options.path}").data, ""
    )


def test_the_hubs_400_are_read_as_they_are(tmp_path: Path) -> None:
    """Rows of tokens, some of them newlines, and of tags; no ids and no text."""
    rows = [
        {"tokens": ["A", "man", ".", "\n", "Fever"], "tags": ["O", "B-Sex", "O", "O", "B-Sign"]},
        {"tokens": ["High", "fever"], "tags": ["B-Sign", "I-Sign"]},
    ]
    folder = tmp_path / "maccrobat2018_2020"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = open_corpus(composed("train", "data=maccrobat_2018_2020").data, tmp_path)
    assert [document.text for document in corpus.documents] == ["A man .\nFever", "High fever"]
    found = [(d.mention(e), e.type) for d in corpus.documents for e in d.entities]
    assert found == [("man", "Sex"), ("Fever", "Sign"), ("High fever", "Sign")]


def test_the_demo_needs_no_folder(tmp_path: Path) -> None:
    assert len(open_corpus(composed("train", "data=demo").data, tmp_path).documents) == 48


def test_a_corpus_of_one_s_own_needs_a_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="corpus jsonl: path is not set"):
        open_corpus(composed("train", "data=jsonl").data, tmp_path)


@needs_corpora
@pytest.mark.parametrize("name", ["ncbi", "bc5cdr"])
def test_what_a_release_must_hold_is_what_the_real_one_holds(name: str) -> None:
    options = composed("train", f"data={name}").data
    release = options.release
    source = CorpusSource(
        name,
        options.format,
        str(Path(CORPORA, release.folder)),
        dict(options.parts),
        options.errata,
    )
    documents = read_corpus(source).documents
    assert len(documents) == release.documents
    assert sum(len(document.entities) for document in documents) == release.entities
    assert fingerprint(documents) == release.fingerprint
