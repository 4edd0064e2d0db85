import json

import kseg
from kseg.cli.main import main


def test_every_data_set_with_its_layout(capsys):
    assert main(["datasets"]) == 0
    shown = capsys.readouterr().out
    for name, what in kseg.data.datasets().items():
        assert f"{name}\n    {what.summary}\n" in shown
        assert what.layout in shown
        assert what.page in shown
        assert what.size in shown


def test_a_root_that_is_no_folder(tmp_path, capsys):
    (tmp_path / "a.zip").write_bytes(b"")
    for root, words in (("nosuch", "does not exist"), ("a.zip", "is a file"), ("x" * 5000, "does not exist")):
        assert main(["datasets", "--root", str(tmp_path / root)]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert words in shown.err


def test_what_lies_in_a_folder(labelled, capsys):
    assert main(["datasets", "--root", str(labelled), "--json"]) == 0
    found = {row["name"]: row["found"] for row in json.loads(capsys.readouterr().out)}
    assert found["folder"]["splits"] == {"train": 4, "val": 2}
    assert found["voc"]["splits"] == {}
    assert str(labelled) in found["voc"]["reason"]
    folders = {"ade20k": "ADEChallengeData2016", "cityscapes": "leftImg8bit", "oxford_iiit_pet": "trimaps"}
    for name, folder in folders.items():  # what was expected, and what lies there
        assert found[name]["splits"] == {}
        assert folder in found[name]["reason"]
        assert "images/" in found[name]["reason"]
