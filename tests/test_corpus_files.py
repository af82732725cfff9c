"""Files of a corpus: their order, clutter, and zips."""

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from handmade import read, real, release, write
from real_data import needs_corpora

from medner.corpora import read_corpus
from medner.corpora.files import HARMLESS_SIZE, LARGEST_RATIO, find_files
from medner.errors import DataError

ANN = "T1\tDisease 0 5\tFever\n"


def test_clutter_is_passed_over_but_not_below_a_hidden_folder(tmp_path):
    clutter = {"._1.ann": b"\xff", ".hidden/2.txt": "", "__MACOSX/3.ann": "", ".DS_Store": b"\xff"}
    files = {"a/1.txt": "Fever", "b/../a/1.ann": ANN, **clutter, ".x.zip": "none"}
    corpus = read("brat", write(tmp_path / ".cache" / "corpus", files))
    assert [document.id for document in corpus.documents] == ["1"]
    assert corpus.passed_over == {}


def test_documents_come_in_order_of_file_names_through_all_folders_and_zips(tmp_path):
    for sub, name in (("z1", "1"), ("a2", "2"), ("m3", "4")):
        write(tmp_path, {f"{sub}/{name}.txt": "Fever", f"{sub}/{name}.ann": ANN})
    with zipfile.ZipFile(tmp_path / "a2" / "5.zip", "w") as packed:
        packed.writestr("3.ann", ANN)
        packed.writestr("3.txt", "Fever")
    corpus = read("brat", tmp_path)
    assert [document.id for document in corpus.documents] == ["1", "2", "3", "4"]


@needs_corpora
def test_ncbis_three_zips_in_one_folder(tmp_path):
    """As they are to be had: NCBItrainset_corpus.zip holds NCBItrainset_corpus.txt."""
    for file in Path(release("ncbi").path).glob("*.txt"):
        with zipfile.ZipFile(tmp_path / f"{file.stem}.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            packed.write(file, file.name)
    assert read_corpus(replace(release("ncbi"), path=str(tmp_path))) == real("ncbi")


def test_a_zip_in_a_zip_is_a_file_like_others(tmp_path):
    """Although its name fits the pattern of a part."""
    document = "1|t|T\n1|a|A\n1\t0\t1\tT\tD\tD\n"
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as packed:
        packed.writestr("train.txt", document)
        packed.writestr("train.zip", b"PK")
    for path in (tmp_path, tmp_path / "c.zip"):
        corpus = read("pubtator", path, parts={"train": "train*"})
        assert (len(corpus.documents), corpus.passed_over) == (1, {"files": 1})


def test_places_in_zips_are_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as packed:
        packed.writestr("in/x.txt", "He\n\xe9".encode("latin-1"))
    for path in (tmp_path, tmp_path / "c.zip"):
        (file,), others = find_files(str(path), ["*.TXT"])
        assert (file.name, file.place, others) == ("x.txt", f"{tmp_path}/c.zip!in/x.txt", [])
        with pytest.raises(DataError, match=r"c\.zip!in/x\.txt:2: not UTF-8 at byte 3"):
            file.text()


def test_nothing_fits(tmp_path):
    write(tmp_path, {f"{i}.csv": "" for i in range(5)})
    message = (
        r"no file matches \*\.txt or \*\.ann \(found: 0.csv, 1.csv, 2.csv and 2 more\); "
        "give the folder, file or zip that holds them"
    )
    with pytest.raises(DataError, match=message):
        read("brat", tmp_path)
    with pytest.raises(DataError, match=r"no file matches \*train\* \(found: "):
        read("pubtator", tmp_path, parts={"train": "*train*"})


def test_broken_files(tmp_path):
    text = "He has high fever"
    write(tmp_path / "c", {"1.ann": "", "1.txt": text})
    archive = tmp_path / "c.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("1.txt", text)
        packed.writestr("1.ann", "")
    whole = archive.read_bytes()
    for broken in (b"", whole[: len(whole) // 2], whole.replace(b"high", b"lowe", 1)):
        archive.write_bytes(broken)
        for path in (archive, tmp_path):  # as the corpus, and beside one
            with pytest.raises(DataError, match=r"c\.zip: cannot be read \(.+\); fetch it anew"):
                read("brat", path)
    (tmp_path / "c" / "2.ann").symlink_to(tmp_path / "gone.ann")
    with pytest.raises(DataError, match=r"c: cannot be read \(.*2\.ann"):
        read("brat", tmp_path / "c")


def test_encrypted_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as packed:
        packed.writestr("1.txt", "He")
    data = bytearray((tmp_path / "c.zip").read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    (tmp_path / "c.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"c\.zip: cannot be read \(.*password.*\); fetch it anew"):
        read("brat", tmp_path)


def test_a_zip_that_explodes_is_told_by_what_it_declares(tmp_path):
    """Large and packed small; one of the two alone is nothing to refuse."""
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(2):
            packed.writestr(f"{number}.txt", bytes(HARMLESS_SIZE // 2))
    files, _ = find_files(str(tmp_path / "c.zip"), ["0.txt"])
    packed_size = (tmp_path / "c.zip").stat().st_size
    assert len(files[0].data) * 2 == HARMLESS_SIZE > LARGEST_RATIO * packed_size
    with zipfile.ZipFile(tmp_path / "c.zip", "a") as packed:
        packed.writestr("2.txt", "x")
    packed_size = (tmp_path / "c.zip").stat().st_size
    with pytest.raises(DataError, match=rf"c\.zip: explodes: its {packed_size:,} bytes unpack to "
                       r"67,108,865, more than 100 times as many; fetch it anew"):  # fmt: skip
        find_files(str(tmp_path), ["2.txt"])
