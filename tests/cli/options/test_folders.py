import pytest

from kseg.cli.options.folders import removed_if_empty


def test_a_folder_that_stays_empty_goes_again(tmp_path):
    def fail():
        (tmp_path / "out").mkdir()
        with removed_if_empty(tmp_path / "out" / "inner"):
            (tmp_path / "out" / "inner").mkdir()
            raise ValueError("mistake")

    with pytest.raises(ValueError, match="mistake"):
        fail()
    assert (tmp_path / "out").exists()
    assert not (tmp_path / "out" / "inner").exists()


def test_results_stay_and_so_does_what_was_there_before(tmp_path):
    with removed_if_empty(tmp_path / "out"):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mask.png").write_bytes(b"")
    with removed_if_empty(tmp_path):
        pass
    (tmp_path / "empty").mkdir()
    with removed_if_empty(tmp_path / "empty"):
        pass
    assert (tmp_path / "out" / "mask.png").exists()
    assert (tmp_path / "empty").exists()


def test_a_folder_never_made_is_no_error(tmp_path):
    with removed_if_empty(tmp_path / "out"):
        pass
    assert not (tmp_path / "out").exists()
