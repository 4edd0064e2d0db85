"""Trained weights back into Keras: `.npz` of train.py, soup.py or camvid.py to a .keras file.

    python tools/people/finish.py --model DIR/start.keras --weights DIR/mean.npz --out DIR/people.keras --shift 0.4

--shift takes from the score of the last class beside the first: fewer false alarms of `people`, chosen on val.
"""

import argparse
import os
from pathlib import Path

import numpy as np


def write(model_file: Path, weights: Path, out: Path, shift: float = 0.0) -> None:
    """Restore the weights, shift the score layer's bias and save."""
    from graph import restore

    import kseg

    model = kseg.models.load(model_file)
    with np.load(weights) as arrays:
        restore(model, dict(arrays))
    if shift:
        score = model.get_layer("score")
        bias = np.asarray(score.bias).reshape(-1, model.num_classes).copy()  # one for each place in a block
        bias[:, 0] += shift / 2
        bias[:, -1] -= shift / 2
        score.bias.assign(bias.reshape(-1))
    part = out.with_name(f".{out.stem}.part.keras")
    model.save(part)
    os.replace(part, out)


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, type=Path, help="a .keras file of the network")
    parser.add_argument("--weights", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--shift", type=float, default=0.0)
    args = parser.parse_args()
    write(args.model, args.weights, args.out, args.shift)


if __name__ == "__main__":
    main()
