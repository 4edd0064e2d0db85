import pytest

from kseg.data.dataset import Sample
from kseg.data.pairs import require_files
from kseg.data.reading.layout import check_split, contents_of, inside, locate, read_list
from kseg.errors import DataError


def test_the_folder_itself_or_one_in_it(tmp_path):
    (tmp_path / "city" / "pictures").mkdir(parents=True)
    for root in (tmp_path, tmp_path / "city"):
        assert locate(root, ("city",), ("pictures",), "pictures/") == tmp_path / "city"


def test_what_was_expected_and_what_was_found(tmp_path):
    (tmp_path / "imgs").mkdir()
    (tmp_path / "a.txt").touch()
    with pytest.raises(
        DataError, match=r"no folder images/, masks/; expected images/ and masks/, and found a.txt, imgs/"
    ):
        locate(tmp_path, (), ("images", "masks"), "images/ and masks/")
    with pytest.raises(DataError, match=r"does not exist; expected a folder that holds images/"):
        locate(tmp_path / "nosuch", (), ("images",), "images/")
    with pytest.raises(DataError, match="give root"):
        locate(None, (), ("images",), "images/")
    with pytest.raises(DataError, match="cities has no split 'dev'; it has train, val"):
        check_split("cities", "dev", ("train", "val"))


def test_long_folders_are_cut(tmp_path):
    assert contents_of(tmp_path) == "nothing"
    for index in range(10):
        (tmp_path / f"f{index}").touch()
    (tmp_path / ".hidden").touch()
    assert contents_of(tmp_path) == "f0, f1, f2, f3, f4, f5, f6, f7, ..."


def test_lists(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbf# comment\r\na 1\r\n\r\n b \r\n")
    assert read_list(path, tmp_path) == ["a 1", "b"]
    for content, words in ((b"", "empty"), (b"# only\n", "empty"), (b"\xff\xfe\x00", "cannot be read")):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"list\.txt: .*{words}"):
            read_list(path, tmp_path)
    with pytest.raises(DataError, match="no such list"):
        read_list(tmp_path / "other.txt", tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        read_list(tmp_path, tmp_path)


@pytest.mark.parametrize(
    "entry", ["../x.png", "a/../../x.png", "/etc/passwd", "..\\x.png", "C:\\x.png", "", ".", "a\0b"]
)
def test_entries_that_lead_out_are_refused(tmp_path, entry):
    with pytest.raises(DataError, match=r"bad\.txt: .* leads out of"):
        inside(tmp_path, entry, tmp_path / "bad.txt")


def test_entries_below_the_folder(tmp_path):
    assert inside(tmp_path, "a/..b/c.png", tmp_path / "l.txt") == tmp_path / "a" / "..b" / "c.png"


def test_missing_files_are_counted(tmp_path):
    (tmp_path / "a.jpg").touch()
    there, gone = tmp_path / "a.jpg", tmp_path / "b.png"
    require_files([Sample(there), Sample(there, there)], "list")
    with pytest.raises(
        DataError, match=r"b\.png: no such file, though list\.txt names it \(and 2 more files\)"
    ):
        require_files([Sample(there, gone), Sample(gone, gone)], "list.txt")
