"""A Keras functional model as plain files, `NAME.graph.json` and `NAME.npz`, and weights back into it.

    python tools/people/graph.py MODEL --out NAME

`network.py` runs them in PyTorch. Beside them lies the model itself, `NAME.keras`.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np

# What `network.py` reads of a layer's configuration.
KEPT = {
    "strides",
    "dilation_rate",
    "kernel_size",
    "padding",
    "epsilon",
    "momentum",
    "max_value",
    "mean",
    "std",
    "factor",
    "block",
    "rate",
}


def layers_of(model) -> list:
    """`[name, class, configuration, names of the inputs]` of each layer, in the order in which they are run."""
    own = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    found = []
    for layer in model.operations:
        node = next(node for node in layer._inbound_nodes if id(node) in own)
        inputs = [tensor._keras_history.operation.name for tensor in node.input_tensors]
        config = {key: value for key, value in layer.get_config().items() if key in KEPT}
        found.append([layer.name, type(layer).__name__, config, inputs])
    return found


def weights_of(model) -> dict:
    """The weights by `layer/variable`, without the states of random generators."""
    return {name: np.asarray(variable) for name, variable in _variables(model)}


def write(model, path: str | Path) -> None:
    """Write `PATH.graph.json` and `PATH.npz`."""
    Path(f"{path}.graph.json").write_text(json.dumps(layers_of(model)), encoding="utf-8")
    np.savez(f"{path}.npz", **weights_of(model))


def restore(model, arrays: dict) -> None:
    """Give a model the weights of an .npz file; every one of the model's must be there."""
    for name, variable in _variables(model):
        if arrays[name].shape != tuple(variable.shape):
            raise ValueError(f"{name}: {arrays[name].shape} does not fit the model's {tuple(variable.shape)}")
        variable.assign(arrays[name])


def _variables(model):
    for layer in model.layers:
        for variable in layer.weights:
            if "seed" not in variable.name:
                yield f"{layer.name}/{variable.name}", variable


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a .keras file or a preset")
    parser.add_argument("--out", required=True, help="path without an ending")
    args = parser.parse_args()

    from kseg.models import load_trained

    model = load_trained(args.model)
    model.save(f"{args.out}.keras")
    write(model, args.out)


if __name__ == "__main__":
    main()
