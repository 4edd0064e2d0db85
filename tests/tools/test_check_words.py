"""Private vocabulary is found wherever it stands, and only there."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("check_words", ROOT / "tools" / "check_words.py")
check_words = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check_words)


def finds(tmp_path, where, text):
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return [word for _, word in check_words.finds(path)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def read_picture(path):\n", ["picture"]),
        ("class MyPictures:\n", ["pictures"]),
        ('"""A net that enlarges."""\n', ["net", "enlarges"]),
        ("raise ModelError('the twin of this')\n", ["twin"]),
    ],
)
def test_found(text, expected, tmp_path):
    assert finds(tmp_path, "kseg/a.py", text) == expected


@pytest.mark.parametrize("text", ["network = 1", "ResNet", "magnet", "MobileNetV3", "depicture", "image"])
def test_longer_words_and_names_pass(text, tmp_path):
    assert finds(tmp_path, "kseg/a.py", text + "\n") == []


def test_place_and_exit_code(tmp_path, capsys):
    finds(tmp_path, "kseg/data/a.py", "x = 1\npicture = 2\n")
    assert check_words.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("kseg/data/a.py:2: picture -> image")


def test_results_keep_the_words_of_their_day(tmp_path):
    finds(tmp_path, "docs/results/old.md", "101 pictures\n")
    assert check_words.main([str(tmp_path)]) == 0
    finds(tmp_path, "docs/guide.md", "101 pictures\n")
    assert check_words.main([str(tmp_path)]) == 1
