"""The measures of the package, on a few lines whose figures are counted by hand."""

import importlib.util
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "measure_house.py"
PACKAGE = '''
__all__ = ["shown", "Shown"]


def shown(x):
    """What it does,

    in several lines.
    """
    y = _once(x)
    return _twice(y) + _twice(x)


def _once(x):
    return x


def _twice(x):
    return _twice(x - 1) if x else 0


class Shown:
    def _value(self):
        return 1

    def __call__(self, values):
        return sorted(values, key=self._value)
'''


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("measure_house", TOOL)
    module = sys.modules["measure_house"] = importlib.util.module_from_spec(spec)  # dataclasses look it up
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("measure_house")


def test_lengths_and_uses(tool, tmp_path):
    (tmp_path / "kseg").mkdir()
    (tmp_path / "kseg" / "__init__.py").write_text(PACKAGE)
    found = {each.name: (each.length, each.uses) for each in tool.measure(tmp_path)}
    assert found == {
        "shown": (3, None),
        "_once": (2, 1),
        "_twice": (2, 2),
        "Shown._value": (2, 1),
        "Shown.__call__": (2, None),
    }


def test_a_helper_that_another_module_imports_is_used_there_too(tool, tmp_path):
    (tmp_path / "kseg").mkdir()
    (tmp_path / "kseg" / "__init__.py").write_text("")
    (tmp_path / "kseg" / "a.py").write_text("def _x():\n    pass\n\n\n_x()\n")
    (tmp_path / "kseg" / "b.py").write_text("from kseg.a import _x\n")
    assert [each.uses for each in tool.measure(tmp_path)] == [2]


def test_the_table(tool, tmp_path, capsys):
    (tmp_path / "kseg").mkdir()
    (tmp_path / "kseg" / "__init__.py").write_text(PACKAGE)
    assert tool.main([str(tmp_path), "--list"]) == 0
    out = capsys.readouterr().out
    assert "private, used once    2, 40.0%" in out
    assert "public names          2" in out
    assert "_once, 2 lines, used once" in out
