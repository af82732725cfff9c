"""``dry_run=true``: the data report and an estimate of time, and nothing is left behind."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import Ended, Run

OFFLINE = ("experiment=minilm", "model=offline/minilm", "logger=none")


@pytest.fixture(scope="module")
def dry(run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    out = tmp_path_factory.mktemp("dry") / "runs"
    options = ("data.split.validation=3", "data.split.test=4", "trainer.max_epochs=7")
    ended = run("train.py", *OFFLINE, *options, "dry_run=true", f"output_dir={out}")
    return out, ended.well()


def test_it_leaves_nothing_behind(dry: tuple[Path, Ended]) -> None:
    out, ended = dry
    assert list(out.iterdir()) == []
    assert ended.stderr == ""


def test_it_says_what_was_read_and_how_it_was_split(dry: tuple[Path, Ended]) -> None:
    said = dry[1].stdout
    assert re.search(r"^maccrobat: 24 documents, \d+ entities of 41 types$", said, re.M)
    assert re.search(r"^overlapping: 2 entities; discontinuous: 1$", said, re.M)
    assert re.search(r"^passed over: 24 relations$", said, re.M)
    assert re.search(r"^groups: ", said, re.M)
    assert re.search(r"^split: 17 train, 3 validation, 4 test \(seed 0\)$", said, re.M)
    assert re.search(
        r"^no leak: no validation or test document has a twin in another part$", said, re.M
    )
    assert re.search(r"^documents +24 +17 +3 +4$", said, re.M)
    for count in re.findall(r"^Medication +(\d+) +(\d+) +(\d+) +(\d+)$", said, re.M):
        assert int(count[0]) == sum(map(int, count[1:])) > 0
        break
    else:
        pytest.fail(said)


def test_it_says_what_is_out_of_reach_and_why(dry: tuple[Path, Ended]) -> None:
    said = dry[1].stdout
    rows = {
        name: [float(figure) for figure in figures.split()]
        for name, figures in re.findall(r"^(\S.*?)  +([\d. ]+)$", said, re.M)
    }
    assert rows["read"] == rows["all types"] == rows["in the files"]
    assert [sum(rows["read"][1:])] == rows["read"][:1]
    assert (
        rows["lost to the conversion"]
        == rows["lost to the window"]
        == rows["lost to the tokenizer"]
        == [0, 0, 0, 0]
    )
    assert rows["lost to flat tags: overlapping"][0] == 1
    assert rows["lost to flat tags: discontinuous"][0] == 1
    for read, left, best in zip(
        rows["read"], rows["within reach"], rows["best recall"], strict=True
    ):
        assert best == pytest.approx(left / read, abs=5e-5)
    assert rows["within reach"][0] == rows["read"][0] - 2
    assert re.search(
        r"^24 of 24 documents are read to the end, and \d+ entities across two ", said, re.M
    )
    assert "(data.flatten=longest_first; a run lists what is lost in its data_report.json)" in said
    why = re.findall(r"^  1 (\w+.*), such as\n    (\d+) ([\d;-]+) (\w+): (.+)$", said, re.M)
    assert sorted((reason, document, type_) for reason, document, _, type_, _ in why) == [
        ("discontinuous", "15939913", "Sign_symptom"),
        ("overlaps another", "15939912", "Biological_structure"),
    ]
    mentions = {mention for *_, mention in why}
    assert mentions == {"pain ... in the knee", "pulmonary"}


def test_it_says_which_mentions_can_be_known_by_heart(dry: tuple[Path, Ended]) -> None:
    """The small reports have three mentions of each type."""
    said = dry[1].stdout
    found = re.findall(
        r"^mentions: (\d+) of (\d+) (\w+) entities \((\S+)%\) occur in train with their type, "
        r"(\d+) with another only$",
        said,
        re.M,
    )
    assert [part for _, _, part, *_ in found] == ["validation", "test"]
    for seen, entities, part, share, other in found:
        assert float(share) == pytest.approx(100 * int(seen) / int(entities), abs=0.05)
        assert int(seen) + int(other) <= int(entities) and float(share) > 80
        column = {"validation": 2, "test": 3}[part]
        assert re.search(rf"^all types(?: +\d+){{{column}}} +{entities}( |$)", said, re.M)


def test_documents_of_an_evaluation_corpus_that_are_in_training_are_named(
    run: Run, corpora: Path, tmp_path: Path
) -> None:
    """Whatever their ids; one of the test part is none of them."""
    train, _, test = (
        (corpora / "ncbi_disease" / f"NCBI{part}set_corpus.txt").read_text().split("\n\n")
        for part in ("train", "develop", "test")
    )
    renamed = re.sub("^100", "900", train[0], flags=re.M)
    (tmp_path / "some.txt").write_text("\n\n".join([renamed, train[1], test[0]]) + "\n")
    options = ("data=ncbi", "eval_dataset=ncbi", f"eval_dataset.path={tmp_path}/some.txt")
    places = (f"hub_mirror={tmp_path}", f"output_dir={tmp_path}/runs")
    said = run("train.py", *options, *places, "dry_run=true", torch=False).stdout
    assert (
        "\n  2 of 3 documents (66.7%) are in training, too (nearly the same text): "
        "101, 900 (there 100); a score on a twin says nothing about new documents\n"
    ) in said
    said = run("train.py", "data=ncbi", "eval_dataset=ncbi", *places, "dry_run=true", torch=False)
    assert "\n  no document of ncbi_test is in training (nearly the same text)\n" in said.stdout


def test_it_says_how_much_work_it_is(dry: tuple[Path, Ended]) -> None:
    said = dry[1].stdout
    windows = dict(re.findall(r"^(train|validation|test) +\d+ +(\d+)$", said, re.M))
    time = re.search(
        r"^time: (\d+\.\d+) s a step here, (\d+) steps or about (\d+) s an epoch; at most 7 epochs "
        r"or (\d+) (s|min)",
        said,
        re.M,
    )
    steps = -(-int(windows["train"]) // 4)
    assert int(time[2]) == steps
    assert float(time[1]) > 0
    assert abs(float(time[1]) * steps - int(time[3])) <= 0.5 + 0.005 * steps


def test_the_data_is_described_though_the_model_is_not_to_be_had(run: Run, tmp_path: Path) -> None:
    args = ("model=biobert", f"hub_mirror={tmp_path}", f"output_dir={tmp_path}/runs")
    ended = run("train.py", *args, "dry_run=true", torch=False)
    assert "model dmis-lab/biobert-v1.1 is not to be had" in ended.error()
    assert re.search(r"^documents +24 ", ended.stdout, re.M)
    assert list((tmp_path / "runs").iterdir()) == []


def test_what_is_skipped_is_said(run: Run, corpora: Path, tmp_path: Path) -> None:
    notes = shutil.copytree(corpora / "maccrobat2020", tmp_path / "notes")
    path = notes / "15939911.ann"
    path.write_text(path.read_text().replace(" ", " 1", 1))  # an offset
    args = ("data=brat", f"data.path={notes}", f"hub_mirror={tmp_path}", f"output_dir={tmp_path}/r")
    raised = run("train.py", *args, torch=False).error()
    assert re.search(r"15939911\.ann:1: .*; correct the offsets", raised)
    skipped = run("train.py", *args, "data.on_error=skip", "dry_run=true", torch=False).stdout
    assert re.search(r"^brat: 23 documents", skipped, re.M)
    assert "skipped (on_error=skip): 1 document, for what is wrong with them:" in skipped
    assert raised.removeprefix("error: ") in skipped
