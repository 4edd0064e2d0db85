"""The speed table asks both sides in turns, and says what it could not measure."""

import importlib.util
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

SPEED = Path(__file__).resolve().parents[3] / "tools" / "speed"
SIDES = """
import time
from pathlib import Path
LOG = Path(__file__).with_name("log")

def side(name, seconds):
    def work():
        with LOG.open("a") as log:
            log.write(name)
        time.sleep(seconds)
    return work

def slow(): return side("A", 0.06)
def fast(): return side("B", 0.01)
def gone(): raise ImportError("No module named 'peer'")
def broken(): raise ValueError("broken")
"""


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The tool with sides that only sleep, and write down when they were asked."""
    (tmp_path / "tools" / "speed").mkdir(parents=True)
    folder = tmp_path / "tools" / "speed"
    shutil.copy(SPEED / "worker.py", folder)
    shutil.copy(SPEED.parent / "measuring.py", folder.parent)
    (folder / "sides.py").write_text(SIDES)
    spec = importlib.util.spec_from_file_location("speed_table", SPEED / "table.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "speed_table", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "FOLDER", folder)
    return module


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_both_sides_take_turns_and_the_ratio_is_the_peers_time_by_ones_own(table, tmp_path):
    row = table.Row("sleeping", "fast", "slow", "the sleeper", 2.0, rounds=3, memory=True)
    time, memory = map(cells, table.measured(row))
    assert time[:2] == ["sleeping", "the sleeper"]
    assert float(time[4].strip("*")) > 1
    assert float(memory[4].strip("*")) > 0
    assert (
        tmp_path / "tools" / "speed" / "log"
    ).read_text() == "BA" + "BABABA"  # one each that is not counted


def test_what_is_missing_is_said(table):
    (line,) = table.measured(table.Row("x", "fast", "gone", "peer", 2.0, rounds=1))
    assert "not measured: No module named 'peer'" in line
    (line,) = table.measured(table.Row("x", "broken", None, "", 2.0, rounds=1))
    assert "broken broke off" in line


def test_the_page_has_every_row_and_the_machine(table, tmp_path, capsys):
    rows = (table.Row("one", "fast", None, "", 0.3, 1), table.Row("two", "gone", "fast", "peer", 1.0, 1))
    table.written(rows, tmp_path / "speed.md", growths=())
    page = (tmp_path / "speed.md").read_text()
    assert [cells(line)[0] for line in page.splitlines() if line.startswith("| ")][1:] == ["one", "two"]
    assert "cores" in page
    assert "keras " in page


def test_the_slope_is_the_power_that_time_and_memory_grow_with_on_top_of_the_least(table):
    import growth

    asked = []

    class Square:
        """A side whose time grows as the square of the batch, and whose memory with it, from 0.5 and 100 on."""

        def __init__(self, name):
            asked.append(name)
            self.batch, self.times = int(name.split()[1]) * (name != "growth.step 1 8 3"), []

        def run(self):
            self.times.append(0.5 + self.batch**2 / 1000)

        def peak(self):
            return 100 + 8 * self.batch

    @contextmanager
    def opened(name):
        yield [Square(name)]

    squared = growth.Growth("batch", (1, 8, 3), ((2, 8, 3), (4, 8, 3), (16, 8, 3)), lambda batch, *_: batch)
    found = cells(growth.line(squared, opened))
    assert found[2:5] == ["time: 2.00", "memory: 1.00", "**2.00**"]
    growth.line(squared, opened)
    assert len(asked) == 4  # a point that another line has measured is not measured again


def test_what_does_not_grow_has_no_slope(table):
    import growth

    assert growth.slope([1, 2, 4], [0.0, 3.0, 6.0]) is None
    assert growth.slope([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2)


def test_a_growth_whose_side_breaks_off_says_so_and_the_table_goes_on(table, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "FOLDER", SPEED / "nowhere")
    least = (1, 8, 3)
    growths = [
        table.Growth(work, least, (least, least), lambda batch, *_: batch) for work in ("pixels", "batch")
    ]
    table.written((), tmp_path / "speed.md", growths=growths)
    lines = [line for line in (tmp_path / "speed.md").read_text().splitlines() if line.startswith("| growth")]
    assert [cells(line)[4] for line in lines] == ["not measured: growth.step 1 8 3 broke off"] * 2


def test_every_row_names_sides_that_are_there():
    spec = importlib.util.spec_from_file_location("speed_table_rows", SPEED / "table.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["speed_table_rows"] = module
    spec.loader.exec_module(module)
    for row in module.ROWS:
        for name in filter(None, (row.kseg, row.peer)):
            file, _, function = name.split()[0].rpartition(".")  # what follows are its arguments
            assert f"def {function}(" in (SPEED / f"{file or 'sides'}.py").read_text()
    del sys.modules["speed_table_rows"]
