"""Splits that leak: refused before torch is imported, unless they may; said in any case."""

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import Run

ALLOWED = "data.split.allow_leak=true"
TWINS = "(nearly the same text, or the same group)"


@pytest.fixture(scope="module")
def notes(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve reports, and each of them again, with a word more."""
    folder = tmp_path_factory.mktemp("doubled") / "notes"
    folder.mkdir()
    for path in sorted((corpora / "maccrobat2020").iterdir())[:24]:
        shutil.copy(path, folder)
        again = Path(shutil.copy(path, folder / f"{path.stem}-again{path.suffix}"))
        if path.suffix == ".txt":
            again.write_text(f"{path.read_text()}Furthermore.\n")
    return folder


@pytest.fixture
def args(notes: Path, tmp_path: Path) -> tuple[str, ...]:
    """A command that ends at the model, if it comes so far."""
    split = ("data.split.validation=8", "data.split.test=0", "data.split.seed=2")
    data = ("data=brat", f"data.path={notes}", *split)
    return (*data, "model=biobert", f"hub_mirror={tmp_path}", f"output_dir={tmp_path}/runs")


NO_MODEL = "is not to be had"


def test_a_leaking_split_is_refused_with_pairs_and_what_to_do(
    run: Run, args: tuple[str, ...], tmp_path: Path
) -> None:
    ended = run("train.py", *args, "data.split.grouped=false", torch=False)
    error = re.fullmatch(
        r"error: the split leaks: (\d+) of 8 validation documents \(([\d.]+)%\) have a twin "
        r"\(nearly the same text, or the same group\) in train: (.+) and (\d+) more; keep twins "
        r"together \(data\.split\.grouped=true\), or let it leak \(data\.split\.allow_leak=true\)",
        ended.error(),
    )
    assert error and ended.code == 1
    leaking, share, pairs, more = error.groups()
    pairs = re.findall(r"(\S+) \(validation\) and (\S+) \(train\)(?:, |$)", pairs)
    assert len(pairs) == 5 and len(pairs) + int(more) == int(leaking) <= 8
    assert float(share) == pytest.approx(100 * int(leaking) / 8)
    for first, second in pairs:
        assert {first, second} == {first[:8], f"{first[:8]}-again"}
    assert list((tmp_path / "runs").iterdir()) == []  # no run folder


def test_by_default_twins_stay_together(run: Run, args: tuple[str, ...]) -> None:
    ended = run("train.py", *args, torch=False)
    assert NO_MODEL in ended.error()
    assert "no leak: no validation document has a twin in train\n" in ended.stdout


def test_a_split_that_may_leak_is_warned_of(run: Run, args: tuple[str, ...]) -> None:
    ended = run("train.py", *args, "data.split.grouped=false", ALLOWED, torch=False)
    assert NO_MODEL in ended.error()
    warned = re.findall(
        r"^THE SPLIT LEAKS \(data\.split\.allow_leak=true\): .*$", ended.stdout, re.M
    )
    assert len(warned) == 1
    assert re.search(r"\): \d of 8 validation documents \(", warned[0])
    assert warned[0].endswith("; a score on a twin says nothing about new documents")


def test_leave_to_leak_says_nothing_where_nothing_leaks(run: Run, args: tuple[str, ...]) -> None:
    ended = run("train.py", *args, ALLOWED, torch=False)
    assert "LEAKS" not in ended.stdout and "no leak: " in ended.stdout


def test_twins_that_are_known_may_be_divided_and_no_others(
    run: Run, args: tuple[str, ...], notes: Path, tmp_path: Path
) -> None:
    first, second = sorted(path.stem for path in notes.glob("????????.txt"))[:2]
    ids = tmp_path / "ids.txt"
    words = (
        *(word for word in args if "split.test=" not in word), f"data.split.test_ids={ids}",
        f"data.split.known_twins=[['{first}-again','{first}']]",
    )  # fmt: skip
    ids.write_text(first)
    ended = run("train.py", *words, torch=False)
    assert NO_MODEL in ended.error()
    known = "the split leaks, as is known of this corpus: 1 of 1 test document (100.0%) has a twin"
    assert known in ended.stdout and "LEAKS" not in ended.stdout
    ids.write_text(f"{first}\n{second}\n")
    assert "the split leaks: 2 of 2 test documents" in run("train.py", *words, torch=False).error()


def test_a_dry_run_shows_the_leak_and_goes_on(run: Run, args: tuple[str, ...]) -> None:
    ended = run("train.py", *args, "data.split.grouped=false", "dry_run=true", torch=False)
    assert NO_MODEL in ended.error()  # and not the leak
    assert re.search(
        r"^THE SPLIT LEAKS, and would be refused: \d of 8 validation", ended.stdout, re.M
    )
    assert "(data.split.grouped=true), or let it leak (data.split.allow_leak=true)" in ended.stdout
    groups = re.search(
        r"^documents that belong together:\n((?:  \d+ \(\w+\), \d+-again \(\w+\)\n){5})"
        r"  and 7 groups more$",
        ended.stdout,
        re.M,
    )
    assert groups


def test_given_test_ids_that_cut_groups_are_refused(
    run: Run, args: tuple[str, ...], notes: Path, tmp_path: Path
) -> None:
    """One by its text, and one by the patient."""
    first, second, third = sorted(path.stem for path in notes.glob("????????.txt"))[:3]
    ids, patients = tmp_path / "ids.txt", tmp_path / "patients.csv"
    ids.write_text(f"{first}\n{second}\n{second}-again\n")
    given = (f"data.split.test_ids={ids}", f"data.split.groups={patients}")
    patients.write_text(f"{second},p\n{third},p\n")
    assert run("train.py", *args, *given, torch=False).error() == (
        f"error: the split leaks: 3 of 3 test documents (100.0%) have a twin {TWINS} in train: "
        f"{first} (test) and {first}-again (train), {second} (test) and {third} (train), "
        f"{second}-again (test) and {third} (train); put the twins of what is in {ids} there, too, "
        "or neither, or let it leak (data.split.allow_leak=true)"
    )
    ids.write_text(f"{first}\n{first}-again\n")
    assert NO_MODEL in run("train.py", *args, *given, torch=False).error()


def test_official_parts_that_leak_are_refused(run: Run, notes: Path, tmp_path: Path) -> None:
    """A document of the test part has its twin in validation, and none in train."""
    folder = shutil.copytree(notes, tmp_path / "parted")
    for number, path in enumerate(sorted(folder.glob("????????.txt"))):
        for twin, name in enumerate((path.stem, f"{path.stem}-again")):
            part = "dev" if number < 3 else "test" if number < 6 else "train"
            part = "test" if number == 0 and twin else part
            for suffix in (".txt", ".ann"):
                (folder / f"{name}{suffix}").rename(folder / f"{part}{name}{suffix}")
    data = (
        "data=brat",
        f"data.path={folder}",
        f"hub_mirror={tmp_path}",
        f"output_dir={tmp_path}/r",
    )
    parts = [f"+data.parts.{part}={name}*" for part, name in (
        ("train", "train"), ("validation", "dev"), ("test", "test")
    )]  # fmt: skip
    assert re.fullmatch(
        r"error: the split leaks: 1 of 7 test documents \(14\.3%\) has a twin \(nearly the same "
        r"text, or the same group\) in validation: test(\d+)-again \(test\) and dev\1 "
        r"\(validation\); divide anew \(data\.split\.official=false\), or let it leak \(\S+\)",
        run("train.py", *data, *parts, torch=False).error(),
    )
    assert NO_MODEL in run("train.py", *data, *parts, ALLOWED, torch=False).error()


def test_a_run_that_leaks_says_so_wherever_it_is_looked_at(
    run: Run, notes: Path, mirror: Path, tmp_path: Path
) -> None:
    """In its report, its log, an evaluation on its own documents, and when it is repeated."""
    data = (
        "data=brat",
        f"data.path={notes}",
        "data.split.validation=8",
        "data.split.test=0",
        "data.split.grouped=false",
    )
    model = ("model=biobert", "model.weights=random", f"hub_mirror={mirror}", "logger=none")
    place = ("trainer.max_epochs=1", f"hydra.run.dir={tmp_path}/run", f"output_dir={tmp_path}")
    run("train.py", *data, ALLOWED, *model, *place).well()
    report = json.loads((tmp_path / "run" / "data_report.json").read_text())
    (leak,) = report["split"]["leaks"]
    assert (leak["part"], leak["source"], leak["documents"]) == ("validation", "train", 8)
    parts = json.loads((tmp_path / "run" / "split.json").read_text())["parts"]
    assert leak["twins"] == {
        id: twin
        for id in parts["validation"]
        if (twin := id.removesuffix("-again") if "-" in id else f"{id}-again") in parts["train"]
    }
    assert leak["share"] == len(leak["twins"]) / 8 > 0
    assert report["split"]["groups"]["members"] == [
        [path.stem, f"{path.stem}-again"] for path in sorted(notes.glob("????????.txt"))
    ]
    log = (tmp_path / "run" / "train.log").read_text()
    warning = re.search(r" WARNING medner\.parts: (THE SPLIT LEAKS .*)", log)
    assert warning

    said = run("evaluate.py", f"run={tmp_path}/run", "text=false").well().stdout
    page = (tmp_path / "run/evaluations/validation_identity/report.html").read_text()
    number = len(leak["twins"])
    caveat = f"The split leaks: {number} of 8 validation documents ({leak['share']:.1%}) have a "
    assert caveat in said and page.count(caveat) == 1
    assert f"\n  {len(leak['twins'])} of 8 documents (" in said
    assert ") are in training, too (nearly the same text): " in said
    said = run("train.py", f"repeat={tmp_path}/run", f"output_dir={tmp_path}").well().stdout
    assert said.startswith(f"{warning[1]}\n")
    assert "the same as" in said
