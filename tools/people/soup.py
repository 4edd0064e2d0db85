"""The mean of the weights of .npz files that share their start ("model soup"), or the best mixture of two.

    python tools/people/soup.py first.npz second.npz --out mean.npz
    python tools/people/soup.py start.npz tuned.300.npz tuned.npz --best --data DIR --network DIR/people --out mean.npz

With --best the first file is mixed with each other one at several shares, and what scores best on val is written, the
first itself included. Source: Wortsman et al., "Model soups", ICML 2022, and "Robust fine-tuning" (WiSE-FT), CVPR 2022.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

SHARES = (0.3, 0.5, 0.7, 1.0)


def mixed(weights: list[dict], shares: list[float]) -> dict:
    """Weights times shares, summed, array by array."""
    if any(one.keys() != weights[0].keys() for one in weights):
        raise SystemExit("The files hold weights of different networks")
    return {key: sum(s * one[key] for s, one in zip(shares, weights, strict=True)) for key in weights[0]}


def best(files: list[str], args: argparse.Namespace) -> dict:
    """The mixture of the first file with one of the others that scores best."""
    import torch
    from data import load
    from network import Network
    from train import Validation

    layers = json.loads(Path(f"{args.network}.graph.json").read_text(encoding="utf-8"))
    validation = Validation(load(args.data, args.limit, 2, "val"), side=args.side)
    start, *others = [dict(np.load(file)) for file in files]
    tried = [("start", start)]
    for file, other in zip(files[1:], others, strict=True):
        tried += [
            (f"{Path(file).name} x {share}", mixed([start, other], [1 - share, share])) for share in SHARES
        ]
    scores = []
    for name, weights in tried:
        network = Network(layers, weights).to(memory_format=torch.channels_last).eval()
        scores.append(validation.scores(network))
        print(name, json.dumps(scores[-1]), flush=True)
    chosen = max(range(len(tried)), key=lambda number: scores[number]["judged"])
    print(f"chosen: {tried[chosen][0]}")
    return tried[chosen][1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", help=".npz files of one network")
    parser.add_argument("--out", required=True)
    parser.add_argument("--best", action="store_true", help="choose a mixture on val")
    parser.add_argument("--data", help="with --best: the folder of pack.py")
    parser.add_argument("--network", help="with --best: the network's .graph.json, without the ending")
    parser.add_argument("--side", type=int, default=256, help="with --best: of val's images (256)")
    parser.add_argument("--limit", type=int, help="of val's images, to try it")
    args = parser.parse_args()
    if args.best and not (args.data and args.network):
        parser.error("--best needs --data and --network")
    weights = [dict(np.load(file)) for file in args.files]
    found = best(args.files, args) if args.best else mixed(weights, [1 / len(weights)] * len(weights))
    np.savez(args.out, **found)
    layers = Path(args.files[0]).with_suffix(".graph.json")
    if layers.is_file():  # to train on from the mixture
        shutil.copyfile(layers, Path(args.out).with_suffix(".graph.json"))


if __name__ == "__main__":
    main()
