"""A trained `LiteFPN` with one more level, at half of the image's size, to train on.

    python tools/people/add_level.py DIR/mean.keras --data DIR --out DIR/finer

The backbone and the levels that are there keep their weights; the new level and the scores start anew, and the batch
normalisation of the new level gets the statistics of its maps on 64 of the packed images. Writes OUT.graph.json,
OUT.keras and OUT.npz.
"""

import argparse
import os
from pathlib import Path

import numpy as np

LEVEL = ("stage1", 16, 8)  # stage, width, width to which the stage is reduced


def with_level(model, level: tuple[str, int, int]):
    """The same network with one more level behind its others, and all weights that still fit it."""
    config = model.get_config()
    made = type(model).from_config({**config, "levels": [*config["levels"], level]})
    trained = {layer.name: layer.get_weights() for layer in model.layers}
    for layer in made.layers:
        if layer.name in trained and layer.name != "score":
            layer.set_weights(trained[layer.name])
    made.classes, made.palette = model.classes, model.palette
    return made


def write(file: str, data: Path, out: Path) -> None:
    """Make the network and write it."""
    import graph
    import keras
    from data import load
    from start import IMAGES, unfold

    from kseg.models import load_trained

    keras.utils.set_random_seed(0)
    before = load_trained(file)
    model = with_level(before, LEVEL)
    had = {layer.name for layer in before.layers}
    new = {name for name in (layer.name for layer in model.layers) if name.endswith("_bn") and name not in had}
    samples = load(data)
    chosen = np.random.default_rng(0).permutation(len(samples))[:IMAGES]
    unfold(model, {}, np.stack([samples[number].squeezed()[0] for number in chosen]), new)
    model.save(f"{out}.keras")
    graph.write(model, out)


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a .keras file or a preset")
    parser.add_argument("--data", required=True, type=Path, help="the folder of pack.py")
    parser.add_argument("--out", required=True, type=Path, help="path without an ending")
    args = parser.parse_args()
    write(args.model, args.data, args.out)


if __name__ == "__main__":
    main()
