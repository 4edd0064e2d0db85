import pytest

import kseg
from kseg.errors import SettingsError


@pytest.mark.full
def test_the_fastest_within_the_budget_is_written(net, dataset, tmp_path):
    path = tmp_path / "n.tflite"
    done = []
    choice = kseg.export.auto(
        net,
        path,
        dataset,
        sizes=[(24, 36), (4, 6)],
        max_drop=0.5,
        precisions=("float32", "int8"),
        class_ids=True,
        progress=lambda now, total: done.append((now, total)),
    )
    assert [(trial.precision, trial.check.size) for trial in choice.trials] == [
        ("float32", (24, 36)),
        ("int8", (24, 36)),
        ("float32", (4, 6)),
        ("int8", (4, 6)),
    ]
    allowed = [trial for trial in choice.trials if trial.lost <= 0.5]
    assert choice.trials[choice.chosen].check.milliseconds == min(t.check.milliseconds for t in allowed)
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert kseg.export.load(path).size == choice.trials[choice.chosen].check.size
    assert [file.name for file in tmp_path.glob("*.tflite")] == ["n.tflite"]
    assert "*" in choice.table()
    assert choice.to_json()["chosen"] == choice.chosen


def test_nothing_is_written_where_nothing_fits(net, dataset, tmp_path):
    path = tmp_path / "n.tflite"
    choice = kseg.export.auto(net, path, dataset, sizes=[(4, 6)], max_drop=-1, precisions=["float32"])
    assert choice.chosen is None
    assert not path.exists()
    with pytest.raises(SettingsError, match="Nothing to try"):
        kseg.export.auto(net, path, dataset, sizes=[])
