"""What mmsegmentation's config, which its files carry, says of a network and no key shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kseg.errors import ModelError

# Strides and dilations of the backbone's stages -> output stride.
_STRIDES = {((1, 2, 1, 1), (1, 1, 2, 4)): 8, ((1, 2, 2, 1), (1, 1, 1, 2)): 16}
_EPSILON = 1e-5


def settings_of(config: Mapping[str, Any], what: str, atrous: bool) -> dict[str, Any]:
    """Settings of a network by its config; what a config leaves out has mmsegmentation's own default.

    Args:
        config: the value of `model`, and of `img_norm_cfg` where the file has that (before version 1).
        what: the source, for messages.
        atrous: whether the head is an ASPP.

    Raises:
        ModelError: a network that kseg does not build.
    """
    backbone, head = config.get("backbone"), config.get("decode_head")
    if not isinstance(backbone, dict) or not isinstance(head, dict):
        return {}
    stages = (
        _numbers(backbone.get("strides", (1, 2, 2, 2))),
        _numbers(backbone.get("dilations", (1, 1, 1, 1))),
    )
    norms = [part.get("norm_cfg") for part in (backbone, head) if isinstance(part.get("norm_cfg"), dict)]
    odd = {
        f"strides {stages[0]} and dilations {stages[1]}": stages not in _STRIDES,
        "multi-grid": bool(backbone.get("multi_grid")),
        "strides in the 1x1 convolutions": backbone.get("style", "pytorch") != "pytorch",
        "another epsilon": any(norm.get("eps", _EPSILON) != _EPSILON for norm in norms),
        "another normalisation": any(norm.get("type", "BN") not in ("BN", "SyncBN") for norm in norms),
        "a dilated head": head.get("dilation", 1) != 1,
        "another activation": head.get("act_cfg", {"type": "ReLU"}) != {"type": "ReLU"},
    }
    for name, found in odd.items():
        if found:
            raise ModelError(f"{what}: the file's config has {name}, which kseg does not import")
    settings = {
        "output_stride": _STRIDES[stages],
        "first_rate": "previous" if backbone.get("contract_dilation") else "stage",
        "align_corners": head.get("align_corners", False),
        "pool_scales": _numbers(head.get("pool_scales", (1, 2, 3, 6))),
    }
    if atrous:
        one, *rates = _numbers(head.get("dilations", (1, 6, 12, 18))) or (0,)
        if one != 1:
            raise ModelError(
                f"{what}: the file's config has an ASPP of dilations {head['dilations']}; expected 1 first"
            )
        settings["aspp_rates"] = tuple(rates)
    images = config.get("data_preprocessor") or config.get("img_norm_cfg")
    if isinstance(images, dict):
        if not any(
            images.get(name) for name in ("bgr_to_rgb", "rgb_to_bgr", "to_rgb")
        ):  # images are read as BGR
            raise ModelError(f"{what}: the file's config feeds images as BGR, which kseg does not import")
        settings |= {
            name: tuple(images[name])
            for name in ("mean", "std")
            if isinstance(images.get(name), (list, tuple))
        }
    return settings


def _numbers(values: Any) -> tuple[Any, ...]:
    sound = isinstance(values, (list, tuple)) and all(isinstance(one, (int, float)) for one in values)
    return tuple(values) if sound else ()
