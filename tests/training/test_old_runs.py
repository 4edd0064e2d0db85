"""Run folders that an earlier kseg left in the middle of an epoch go on, to the same weights as without the break."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from kseg.training import read_metrics
from tests.training.old_runs import runs

FOLDER = Path(__file__).with_name("old_runs")


@pytest.mark.full
@pytest.mark.parametrize("name", list(runs.RECIPES))
def test_it_goes_on_to_the_same_weights(name, tmp_path, capfd):
    broken = shutil.copytree(FOLDER / name, tmp_path / name)
    model = runs.run(name, broken)
    assert "going on after epoch 1 and 4 steps of 2" in capfd.readouterr().err
    with np.load(FOLDER / name / "expected.npz") as expected:
        for value, key in zip(model.get_weights(), expected.files, strict=True):
            # Bit-equal where they were made; another processor may round otherwise.
            np.testing.assert_allclose(value, expected[key], rtol=1e-5, atol=1e-6)
    rows, before = read_metrics(broken / "metrics.csv"), read_metrics(broken / "expected.csv")
    assert [list(row) for row in rows] == [list(row) for row in before]
    for row, other in zip(rows, before, strict=True):
        np.testing.assert_allclose(
            [row[key] for key in row if key != "seconds"],
            [other[key] for key in other if key != "seconds"],
            rtol=1e-4,
        )
