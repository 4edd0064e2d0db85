import json

import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.inference import DenseCRF
from kseg.inference.crf.settings_file import crf_to_dict, load_crf, save_crf


def test_round_trip_of_every_setting(tmp_path):
    penalties = np.array([[0, 0.5], [0.5, 0]])
    crf = DenseCRF(2, 1.5, 40, 6, 7, 8, penalties, 1e-4, 300)
    save_crf(crf, tmp_path / "crf.json", mean_iou=0.5)
    again = load_crf(tmp_path / "crf.json")
    assert crf_to_dict(again) == crf_to_dict(crf)
    assert len(set(map(str, crf_to_dict(crf).values()))) == 9  # each has a value of its own
    np.testing.assert_array_equal(again.compatibility, penalties)
    assert json.loads((tmp_path / "crf.json").read_text())["mean_iou"] == 0.5


def test_what_is_the_machine_s_own_is_not_written():
    assert crf_to_dict(DenseCRF(device="cpu", memory_limit=1e9)) == crf_to_dict(DenseCRF())


def test_written_by_hand(tmp_path):
    (tmp_path / "crf.json").write_text('{"bilateral_xy_std": 30, "iterations": 5}')
    assert crf_to_dict(load_crf(tmp_path / "crf.json")) == crf_to_dict(
        DenseCRF(bilateral_xy_std=30, iterations=5)
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a JSON file"),
        ("[1]", "JSON object"),
        ('{"crf": 3}', "JSON object"),
        ('{"sxy": 30}', "sxy"),
        ('{"bilateral_xy_std": -1}', "bilateral_xy_std"),
        ('{"bilateral_rgb_std": "wide"}', "bilateral_rgb_std .* number greater than 0, got wide"),
        ('{"iterations": null}', "iterations .* number at least 0, got None"),
        ('{"iterations": 1e999}', "iterations .* got inf"),
        ('{"iterations": true}', "iterations .* got True"),
        ('{"tile": 8.5}', "tile .* whole number, got 8.5"),
        ('{"compatibility": "potts"}', "array of numbers"),
        ('{"compatibility": [[0, 1], [2, 0]]}', "symmetric"),
    ],
)
def test_refusals_name_the_file(text, said, tmp_path):
    path = tmp_path / "crf.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=said) as raised:
        load_crf(path)
    assert str(path) in str(raised.value)


def test_no_such_file(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.json"):
        load_crf(tmp_path / "none.json")
