"""What no key shows: given, from a config, or assumed; and always named."""

import numpy as np
import pytest

from kseg.errors import ModelError, SettingsError
from kseg.weights import import_weights
from kseg.weights.settings import Settled, parse
from tests.weights.layouts.test_mmseg import narrow_state as mmseg_state
from tests.weights.layouts.test_semseg import narrow_state


def test_the_command_line_s_form():
    assert parse(
        ["aspp_rates=6,12,18", "align-corners=true", "upsampling=16", "first_rate=stage", "mean=1.5,2,3"]
    ) == {
        "aspp_rates": (6, 12, 18),
        "align_corners": True,
        "upsampling": 16,
        "first_rate": "stage",
        "mean": (1.5, 2, 3),
    }
    assert (
        parse(["aspp_rates=(6, 12, 18)"]) == parse(["aspp_rates=[6,12,18,]"]) == {"aspp_rates": (6, 12, 18)}
    )
    with pytest.raises(SettingsError, match="output_stride was given twice"):
        parse(["output_stride=8", "output-stride=16"])
    for wrong in ("aspp_rates", "=3", "aspp_rates="):
        with pytest.raises(SettingsError, match="NAME=VALUE"):
            parse([wrong])


def test_in_words():
    settled = Settled(
        {"output_stride": 8, "align_corners": True, "mean": (1.5, 2.0, 3.0)},
        {"output_stride": "given", "align_corners": "config", "mean": "assumed"},
    )
    assert str(settled) == (
        "assumed, as no key shows it: mean 1.5,2,3; from its config: align_corners true; as given: output_stride 8"
    )


def test_given_settings_reach_the_network_and_the_note(tmp_path):
    np.savez(tmp_path / "net.npz", **mmseg_state("deeplabv3plus"))
    found = import_weights(tmp_path / "net.npz", settings={"aspp_rates": (2, 5, 7), "align_corners": True})
    assert found.model.rates == (2, 5, 7)
    assert found.model.get_config()["upsampling"] == "corners"
    assert found.settings["aspp_rates"] == ((2, 5, 7), "given")
    assert found.settings["first_rate"] == ("previous", "assumed")
    assert "as given: align_corners true, aspp_rates 2,5,7" in found.note.replace("; output_stride 8", "")
    assert "output_stride 8" in found.note
    np.savez(tmp_path / "net.npz", **narrow_state())
    found = import_weights(tmp_path / "net.npz", settings={"pool_scales": (1, 2, 3, 5), "std": (1, 1, 1)})
    assert found.model.bins == (1, 2, 3, 5)
    assert found.model.backbone.get_config()["std"] == (1, 1, 1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"aspp_rate": (1, 2, 3)}, "no setting 'aspp_rate'; its settings are: .*pool_scales"),
        ({"pool_scales": (1, 2)}, "pool_scales"),
        ({"pool_scales": "many"}, "pool_scales"),
        ({"output_stride": 16}, "output stride 8, not 16"),
        ({"mean": (1, 2, float("nan"))}, "mean"),
        ({"mean": (0.485, 0.456, 0.406)}, "`mean` must be on the scale of images, 0 to 255"),
        ({"std": (0.229, 0.224, 0.225)}, "`std` must be on the scale of images, 0 to 255"),
        ({"pool_scales": (1, 2, 2, 6)}, "`pool_scales` must be 4 different whole numbers"),
    ],
)
def test_wrong_settings(settings, words, tmp_path):
    np.savez(tmp_path / "net.npz", **narrow_state())
    with pytest.raises(SettingsError, match=words):
        import_weights(tmp_path / "net.npz", settings=settings)


def test_an_output_stride_that_is_given_twice(tmp_path):
    np.savez(tmp_path / "net.npz", **mmseg_state("fcn"))
    with pytest.raises(SettingsError, match="twice, as 8 and as 16"):
        import_weights(tmp_path / "net.npz", output_stride=16, settings={"output_stride": 8})


CONFIG = {
    "backbone": {
        "strides": (1, 2, 1, 1),
        "dilations": (1, 1, 2, 4),
        "contract_dilation": True,
        "norm_cfg": {"type": "BN"},
    },
    "decode_head": {"dilations": (1, 3, 5, 7), "align_corners": True},
    "data_preprocessor": {"mean": [1, 2, 3], "std": [4, 5, 6], "bgr_to_rgb": True},
}


def with_config(monkeypatch, config):
    from kseg.weights.reading.read import read

    monkeypatch.setattr("kseg.weights.importing.read", lambda *a: (read(*a)[0], {"config": config}))


def test_a_config_of_the_file(tmp_path, monkeypatch):
    np.savez(tmp_path / "net.npz", **mmseg_state("deeplabv3"))
    with_config(monkeypatch, CONFIG)
    found = import_weights(tmp_path / "net.npz")
    assert found.model.rates == (3, 5, 7)
    assert found.model.backbone.get_config()["mean"] == (1, 2, 3)
    assert found.model.get_config()["upsampling"] == "corners"
    assert {origin for _, origin in found.settings.values()} == {"config"}
    assert import_weights(tmp_path / "net.npz", settings={"aspp_rates": (6, 7, 8)}).model.rates == (6, 7, 8)


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("backbone", {"multi_grid": (1, 2, 4)}, "multi-grid"),
        ("backbone", {"dilations": (1, 1, 1, 1)}, "strides"),
        ("backbone", {"dilations": [[1]]}, "strides"),
        ("backbone", {"style": "caffe"}, "1x1"),
        ("backbone", {"norm_cfg": {"type": "GN"}}, "normalisation"),
        ("decode_head", {"dilations": (2, 3, 5, 7)}, "expected 1 first"),
        ("decode_head", {"dilation": 6}, "a dilated head"),
        ("data_preprocessor", {"bgr_to_rgb": False}, "BGR"),
    ],
)
def test_configs_of_networks_that_are_not_built(part, change, words, tmp_path, monkeypatch):
    np.savez(tmp_path / "net.npz", **mmseg_state("deeplabv3"))
    with_config(monkeypatch, {**CONFIG, part: {**CONFIG[part], **change}})
    with pytest.raises(ModelError, match=words):
        import_weights(tmp_path / "net.npz")
