"""The floors are held: planted violations are found, and the checkout has none."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("check_floors", ROOT / "tools" / "check_floors.py")
check_floors = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check_floors)


def violations(tmp_path, where: str, text: str) -> list[str]:
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return check_floors.check(tmp_path)


def test_this_checkout_holds_its_floors():
    assert check_floors.check(ROOT) == []


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("kseg/ops/a.py", "from kseg.layers import x"),
        ("kseg/layers/a.py", "import kseg.backbones.vgg"),
        ("kseg/layers/a.py", "import tensorflow as tf"),
        ("kseg/models/a.py", "def f():\n    from tensorflow import nn\n"),
        ("kseg/metrics/a.py", "from kseg.losses import CrossEntropy"),
        ("kseg/inference/a.py", "from kseg import models"),
        ("kseg/inference/a.py", "from ..models import build"),
        ("kseg/evaluation/a.py", "from kseg.training import fit"),
        ("kseg/evaluation/a.py", "import tensorflow"),
        ("kseg/data/a.py", "import kseg"),
        ("kseg/training/a.py", "from kseg.cli.main import main"),
        ("kseg/cli/a.py", "import kseg.layers"),
        ("kseg/cli/a.py", "import importlib\nimportlib.import_module('kseg.backbones')\n"),
        ("kseg/io/a.py", "from kseg.data import read_image"),
        ("kseg/weights/a.py", "from kseg.training import fit"),
        ("kseg/export/a.py", "import apps.webcam"),
        ("kseg/data/a.py", "from tools import convert"),
        ("kseg/version.py", "import kseg.data"),
        ("kseg/utils/a.py", ""),
        ("kseg/losses/a.py", "\n" * 301),
        ("tools/a.py", "\n" * 301),
    ],
)
def test_a_violation_is_named_with_its_place(where, text, tmp_path):
    (tmp_path / "kseg").mkdir()
    (tmp_path / "kseg" / "version.py").write_text("")
    found = violations(tmp_path, where, text)
    assert len(found) == 1
    assert found[0].startswith(f"{where}:")


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (
            "kseg/models/a.py",
            "from kseg.backbones import VGG16\nfrom kseg.errors import ModelError\nimport keras\n",
        ),
        ("kseg/ops/a.py", "import tensorflow as tf\nfrom kseg.ops.b import c\n"),
        ("kseg/ops/a.py", "from .b import c\n"),
        ("kseg/ops/a.py", "from kseg.checks import pair\nfrom kseg.io.atomic import written\n"),
        ("kseg/io/a.py", "from kseg.errors import DataError\n"),
        ("kseg/data/a.py", "import tensorflow_datasets as tfds\nfrom kseg import errors\n"),
        ("kseg/inference/a.py", "from kseg.data import read_image\n"),
        ("kseg/cli/a.py", "def run():\n    from kseg import data, evaluation, models\n"),
        ("kseg/__main__.py", "from kseg.cli.main import main\n"),
        ("kseg/losses/a.py", "x = 1\n" * 300),
    ],
)
def test_what_is_allowed_passes(where, text, tmp_path):
    assert violations(tmp_path, where, text) == []


def test_a_folder_has_at_most_fifteen_modules(tmp_path):
    for number in range(15):
        assert violations(tmp_path, f"kseg/ops/m{number}.py", "") == []
    assert violations(tmp_path, "kseg/ops/__init__.py", "") == []
    assert violations(tmp_path, "kseg/ops/one_more.py", "") == ["kseg/ops/: 16 modules, at most 15"]


def test_folders_are_at_most_two_deep(tmp_path):
    assert violations(tmp_path, "kseg/io/formats/a.py", "") == []
    assert violations(tmp_path, "kseg/io/formats/more/a.py", "") == ["kseg/io/formats/more/: 3 folders deep, at most 2"]


def test_exit_code_and_an_empty_folder(tmp_path, capsys):
    assert check_floors.main([str(tmp_path)]) == 1
    assert str(tmp_path / "kseg") in capsys.readouterr().out
    violations(tmp_path, "kseg/ops/a.py", "")
    assert check_floors.main([str(tmp_path)]) == 0
