"""Files of ids and of groups: what is read, and what is wrong with them."""

import pytest

from medner.errors import DataError, UserError
from medner.id_files import check_known, read_groups, read_ids


def test_id_files(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_bytes("\ufeff# held out\r\n12\r\n\r\n 7 # the twin\r\nE#1\r\n".encode())
    assert read_ids(path) == ("12", "7", "E#1")
    path.write_text("1\n2\n\n1\n")
    with pytest.raises(DataError, match=r"ids.txt:4: 1 is already on line 1"):
        read_ids(path)
    path.write_text("# none\n")
    with pytest.raises(UserError, match=r"ids.txt has no ids"):
        read_ids(path)
    with pytest.raises(UserError, match=r"gone.txt cannot be read"):
        read_ids(tmp_path / "gone.txt")
    with pytest.raises(UserError, match=r"ids.txt: 2 ids not among the 1 documents: 4, 5"):
        check_known(["3", "4", "5"], ["3"], path)


def test_group_files(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("document,group\na, p1\nb,p2\n\nc,p1 # again\na,p1\n")
    assert read_groups(path) == [("a", "c"), ("b",)]
    path.write_text("a, 1\tp1\nb\tp1\n")
    assert read_groups(path) == [("a, 1", "b")]
    path.write_text("a,p1\nb\n")
    with pytest.raises(DataError, match=r"groups.csv:2: not a document and a group: b"):
        read_groups(path)
    path.write_text("a,p1\nb,p1\na,p2\n")
    with pytest.raises(DataError, match=r"groups.csv:3: a is already in group p1"):
        read_groups(path)
