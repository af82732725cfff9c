"""``data.rebuild_from``: the hub's documents without the hub."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from real_data import CORPORA, needs_corpora
from test_config import composed

from medner.config import check
from medner.errors import UserError
from medner.parts import read_and_split
from medner.runs import load_config, save_config
from medner.sources import open_annotations, open_corpus

REBUILT = "data=maccrobat_2018_2020"


def rebuilt(folder: Path, *overrides: str):
    return composed("train", REBUILT, f"data.rebuild_from={folder}", *overrides)


def test_every_report_is_there_twice_with_what_the_conversion_keeps(corpora: Path) -> None:
    config = rebuilt(corpora / "maccrobat2020")
    check(config)
    corpus = open_corpus(config.data, "nowhere")
    reports = open_corpus(composed("train", "data=maccrobat").data, corpora).documents
    assert [document.id for document in corpus.documents] == [
        f"{document.id}.{year}" for document in reports for year in ("2018", "2020")
    ]
    by_id = {document.id: document for document in corpus.documents}
    for report in reports:
        first, second = (by_id[f"{report.id}.{year}"] for year in ("2018", "2020"))
        assert first.text == second.text == report.text
        assert first.entities == second.entities
        assert set(first.entities) <= set(report.entities)
    assert corpus.name == "maccrobat_2018_2020"
    assert config.data.path == str(corpora / "maccrobat2020")


def test_the_data_report_says_identical_twins_and_upper_bound(
    corpora: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    config = rebuilt(corpora / "maccrobat2020", "data.split.validation=6")
    parts, _, report = read_and_split(config)
    assert sum(map(len, parts.values())) == 48
    reports, twins = report["notes"][:2]
    full, converted = open_annotations(config.data)
    kept, there = (sum(len(d.entities) for d in each) // 2 for each in (converted, full))
    assert kept < there
    left = {document.id: len(document.entities) for document in converted}
    lost = {document.id: len(document.entities) - left[document.id] for document in full}
    assert reports == (
        "rebuilt from 24 reports by the rule of the hub's conversion, which keeps "
        f"{kept} of their {there} entities"
    )
    assert report["passed_over"]["entities"] == 2 * (there - kept)
    assert report["lost_to_conversion"] == {
        part: sum(lost[document.id] for document in documents) for part, documents in parts.items()
    }
    assert report["lost_to_conversion"]["train"] > 0
    assert sum(report["lost_to_conversion"].values()) == report["passed_over"]["entities"]
    assert "identical" in twins and "upper bound" in twins
    assert f"  {twins}" in [record.message for record in caplog.records]


def test_both_annotations_of_each_document(corpora: Path) -> None:
    data = rebuilt(corpora / "maccrobat2020").data
    corpus = open_corpus(data, "nowhere")
    full, converted = open_annotations(data)
    assert tuple(converted) == corpus.documents
    reports = {d.id: d for d in open_corpus(composed("train").data, corpora).documents}
    for document in full:
        assert document.entities == reports[document.id.partition(".")[0]].entities
    data = composed("train").data
    corpus = open_corpus(data, corpora)
    full, converted = open_annotations(data)
    assert tuple(full) == corpus.documents
    assert [d.id for d in converted] == [d.id for d in full]


@pytest.mark.parametrize("name", ["ncbi", "bc5cdr", "demo"])
def test_other_corpora_were_never_converted(corpora: Path, name: str) -> None:
    data = composed("train", f"data={name}").data
    open_corpus(data, corpora)
    assert open_annotations(data) is None


def test_a_run_remembers_and_finds_its_documents_again(corpora: Path, tmp_path: Path) -> None:
    config = rebuilt(corpora / "maccrobat2020")
    config.run, config.model.name = str(tmp_path), "a/b"
    before = open_corpus(config.data, "nowhere")
    save_config(tmp_path, config)
    again = load_config(tmp_path)
    assert OmegaConf.to_container(again)["data"]["path"] == str(corpora / "maccrobat2020")
    assert open_corpus(again.data, "elsewhere") == before
    again.data.path = str(corpora / "moved")  # where it is now
    with pytest.raises(UserError, match=r"moved.*maccrobat_2018_2020 is not there"):
        open_corpus(again.data, "elsewhere")


@needs_corpora
def test_the_320_of_the_real_160() -> None:
    corpus = open_corpus(rebuilt(Path(CORPORA, "maccrobat2020")).data, "nowhere")
    assert len(corpus.documents) == 320
    assert sum(len(document.entities) for document in corpus.documents) == 2 * 10_944


@needs_corpora
def test_the_study_s_entity_counts_are_tags_of_what_the_conversion_kept() -> None:
    """Of 160 reports, twice, for the study's 200: its counts are far above the entities that there
    are, and near the words in them. Only its Lab_value, with its numbers, depends on what a token
    is taken to be."""
    published = {
        "Diagnostic_procedure": 11_747, "Sign_symptom": 6_563, "Biological_structure": 5_119,
        "Detailed_description": 3_269, "Disease_disorder": 2_894,
    }  # fmt: skip
    corpus = open_corpus(rebuilt(Path(CORPORA, "maccrobat2020")).data, "nowhere")
    scale = 400 / len(corpus.documents)
    for type_, count in published.items():
        mentions = [
            document.mention(entity)
            for document in corpus.documents
            for entity in document.entities
            if entity.type == type_
        ]
        tags = sum(len(re.findall(r"\w+|[^\w\s]", mention)) for mention in mentions)
        assert tags * scale == pytest.approx(count, rel=0.15), type_
        assert len(mentions) * scale < 0.7 * count, type_
