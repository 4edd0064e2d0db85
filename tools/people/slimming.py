"""Fewer expanded channels in inverted residual blocks, with the strongest of a trained network's kept."""

import numpy as np


def slim_from(model, source, choose=None):
    """Give a network with narrower blocks the numbers of a wider one.

    The channels between the expansion and the projection of a block are known to that block alone, so they can
    be left out without touching its neighbours. Those are kept whose weights towards the projection are largest
    in sum, times the scale of the normalisation before it (magnitude pruning: Li et al., "Pruning filters for
    efficient ConvNets", ICLR 2017, section 3.1; Liu et al., "Network slimming", ICCV 2017).

    Args:
        model: an `EfficientNetLite` of a slim variant; it may end at an earlier stage.
        source: the whole `EfficientNetLite` that it is a part of, with its numbers.
        choose: gives the places of the channels to keep, from (source, block, count); `strongest`.
    """
    choose = choose or strongest
    names = {layer.name for layer in source.layers}
    for layer in model.layers:
        if not layer.weights:
            continue
        block = layer.name.split("_")[0]
        inner = layer.name.startswith("block") and f"{block}_expand_conv" in names
        wide = source.get_layer(layer.name).get_weights()
        if inner:
            width = source.get_layer(f"{block}_expand_conv").filters
            kept = choose(source, block, _width(model, block))
            wide = [_kept(array, layer.name, kept, width) for array in wide]
        layer.set_weights(wide)


def strongest(source, block, count):
    """Places of the `count` expanded channels of a block that weigh most, in ascending order."""
    project = np.abs(source.get_layer(f"{block}_project_conv").get_weights()[0])[0, 0].sum(-1)
    gamma = np.abs(np.asarray(source.get_layer(f"{block}_dwconv_bn").gamma))
    return np.sort(np.argsort(-project * gamma, kind="stable")[:count])


def _width(model, block):
    return model.get_layer(f"{block}_expand_conv").filters


def _kept(array, name, kept, width):
    """The part of one weight array that belongs to the kept channels."""
    if name.endswith("project_bn"):
        return array
    if name.endswith("_expand_conv"):
        return array[..., kept]
    if name.endswith(("_project_conv", "_dwconv")):
        return array[:, :, kept]
    assert array.shape == (width,), name
    return array[kept]
