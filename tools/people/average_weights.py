"""Average the weights of runs of one network that went on from each other ("model soup").

    python tools/people/average_weights.py runs/people/best.keras runs/longer/best.keras --out averaged.keras

Every number, the statistics of batch normalisation too, becomes the mean of those of the files; --shares weights
them. It helps where the runs share their start, and costs nothing when predicting; score the result before use.

Source: Wortsman et al., "Model soups", ICML 2022, section 2 (uniform soup).
"""

import argparse
import os
import sys
from itertools import zip_longest
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "models", nargs="+", type=Path, help=".keras files; the first gives all but the weights"
    )
    parser.add_argument("--shares", nargs="+", type=float, help="a number a file; default: all alike")
    parser.add_argument("--out", required=True, type=Path, help="the .keras file to write")
    args = parser.parse_args(argv)

    from kseg.errors import KsegError

    try:
        write_average(args.models, args.shares, args.out)
    except KsegError as error:
        print(f"average_weights: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: the mean of {len(args.models)} files")
    return 0


def write_average(paths: list[Path], shares: list[float] | None, out: Path) -> None:
    """Write the averaged model to ``out``, whole or not at all."""
    from kseg import models
    from kseg.errors import SettingsError
    from kseg.training.run import checkpoint

    if out.suffix != ".keras" or not out.parent.is_dir():
        raise SettingsError(f"{out}: give --out a .keras file in a folder that exists")
    shares = shares or [1.0] * len(paths)
    if len(shares) != len(paths) or not min(shares) >= 0 or not 0 < sum(shares) < float("inf"):
        raise SettingsError(f"--shares {shares}: expected {len(paths)} numbers from 0 on, not all 0")
    model = models.load(paths[0])
    found = [_weights_like(model, path) for path in paths]
    total = sum(shares)
    model.set_weights(
        [
            sum(s * v for s, v in zip(shares, values, strict=True)) / total
            for values in zip(*found, strict=True)
        ]
    )
    checkpoint.save(model, out, optimizer=False)


def _weights_like(model, path: Path) -> list:
    from kseg import models
    from kseg.errors import ModelError

    other = models.load(path)
    ours, theirs = (
        [(v.path.removeprefix(f"{each.name}/"), tuple(v.shape)) for v in each.weights]
        for each in (model, other)
    )
    if ours != theirs:
        place = next(b or a for a, b in zip_longest(ours, theirs) if a != b)
        raise ModelError(f"{path}: another network than the first file's; they part at {place[0]} {place[1]}")
    return other.get_weights()


if __name__ == "__main__":
    sys.exit(main())
