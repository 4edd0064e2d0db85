"""metrics.csv, also of a run that was broken off and of one that somebody changed."""

import pytest

from kseg.errors import SettingsError
from kseg.training import MetricsCsv, read_metrics


def test_csv_goes_on_without_repeating_an_epoch(follow, tmp_path):
    path = tmp_path / "metrics.csv"
    follow(MetricsCsv(path), [{"loss": 3.0}, {"loss": 2.0, "val_mean_iou": 0.5}, {"loss": 1.0}])
    follow(MetricsCsv(path, epochs_done=2), [{"loss": 1.5, "val_mean_iou": 0.25}], start=3)
    rows = read_metrics(path)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["loss"] for row in rows] == [3.0, 2.0, 1.5]
    assert [row.get("val_mean_iou") for row in rows] == [None, 0.5, 0.25]
    assert {row["learning_rate"] for row in rows} == {0.25}
    assert path.read_text().splitlines()[0].startswith("epoch,loss,")


def test_no_csv_no_rows(tmp_path):
    assert read_metrics(tmp_path / "metrics.csv") == []


@pytest.mark.parametrize(
    "text", ["epoch;loss\n1;2\n", "epoch,loss\n1,x\n", "epoch\n1,2,3\n", "epoch\ninf\n", "é\n1"]
)
def test_a_csv_that_somebody_changed(tmp_path, text):
    path = tmp_path / "metrics.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"metrics\.csv cannot be read .* move it away"):
        read_metrics(path)
