"""What is no regular file of a picture's size is not read: a pipe would wait for ever."""

import os

import pytest

from kseg.errors import DataError
from kseg.io.formats.mat_mask import read_mat_mask
from kseg.io.regular import SPARE_BYTES, read_regular


def test_a_file_is_read_whole(tmp_path):
    (tmp_path / "a.png").write_bytes(b"pixels")
    assert read_regular(tmp_path / "a.png", 1) == b"pixels"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
@pytest.mark.parametrize("reader", [read_regular, read_mat_mask])
def test_pipes_folders_and_what_is_not_there(tmp_path, reader):
    os.mkfifo(tmp_path / "pipe.mat")
    for name, says in (
        ("pipe.mat", "not a regular file"),
        (".", "not a regular file"),
        ("no.mat", "no such file"),
    ):
        with pytest.raises(DataError, match=says):
            reader(tmp_path / name, 100)
    with pytest.raises(DataError, match="cannot be read"):
        reader(tmp_path / "zero\0byte.mat", 100)


@pytest.mark.parametrize("reader", [read_regular, read_mat_mask])
def test_a_file_that_is_larger_than_a_picture(tmp_path, reader):
    with open(tmp_path / "hole.mat", "wb") as file:
        file.truncate(8 * 100 + SPARE_BYTES + 1)  # takes no space on the disk
    with pytest.raises(DataError, match="more than an image of 100 pixels needs"):
        reader(tmp_path / "hole.mat", 100)
