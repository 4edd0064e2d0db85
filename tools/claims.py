"""The papers' claims with error bars on real images: heads on cached features, whole networks, and ways to test.

    python tools/claims.py --root ../shared/data --cache /tmp/claims            everything, into docs/results/claims.md
    python tools/claims.py --root ../shared/data --cache /tmp/claims --data whole       whole networks alone
    python tools/claims.py --root ../shared/data --cache /tmp/claims --page     the page of what is there so far
    python tools/claims.py --root ../shared/data --cache /tmp/claims --page --merge OTHER/results/claims.jsonl
    python tools/claims.py --root ../shared/data --cache /tmp/claims --out /tmp/small --small      in a few minutes

The maps of a frozen EfficientNet-Lite0 are computed once and kept in the folder CACHE (some gigabytes). Every head of
`tools/claims/heads.py` is trained on them with every seed, every network of `tools/claims/whole.py` is trained as a
whole, and every protocol of `tools/claims/protocols.py` is tested. A finished run is a line of
OUT/results/claims.jsonl; the same command again goes on where it was broken off, and writes OUT/results/claims.md and
its figures anew. ROOT holds voc_animals, voc_people and camvid.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

VIEWS = {"voc": 2, "camvid": 3}
STEPS = {"voc": 600, "camvid": 600, "whole": 300}
SEEDS = {"voc": 5, "camvid": 5, "whole": 3}


def main(argv: list[str] | None = None) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from kseg.errors import KsegError

    args = _parser().parse_args(argv)
    try:
        print(run(args))
    except (KsegError, OSError) as error:
        print(f"claims: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--root", required=True, type=Path, metavar="DIR", help="voc_animals, voc_people and camvid")
    parser.add_argument("--cache", required=True, type=Path, metavar="DIR", help="for the maps: some gigabytes")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: docs")
    every = ["tests", "voc", "camvid", "whole"]
    told = "tests without training, heads on voc or camvid, whole networks (default: all four)"
    parser.add_argument("--data", nargs="+", choices=every, default=every, help=told)
    told = "default: 0 to 4, of whole networks 0 to 2"
    parser.add_argument("--seeds", type=_number(0), nargs="+", metavar="N", help=told)
    told = "of every training (default: 600, of whole networks 300)"
    parser.add_argument("--steps", type=_number(1), metavar="N", help=told)
    parser.add_argument("--limit", type=_number(1), metavar="N", help="score trainings on so many validation images")
    told = "variants and tests whose name holds such a word, or is what follows a ="
    parser.add_argument("--only", nargs="+", metavar="WORD", help=told)
    parser.add_argument("--threads", type=_number(0), default=0, metavar="N", help="of TensorFlow (default: all)")
    told = "take the lines of other results; longer runs replace shorter ones once they have all their seeds"
    parser.add_argument("--merge", nargs="+", type=Path, default=[], metavar="FILE", help=told)
    parser.add_argument("--page", action="store_true", help="run nothing; write the page of what is there")
    parser.add_argument("--small", action="store_true", help="few images, two seeds, a few heads and tests")
    return parser


def _number(least: int):
    """A whole number from `least` on, as argparse reads it."""

    def number(text: str) -> int:
        if (value := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number from {least} on")
        return value

    return number


def run(args: argparse.Namespace) -> str:
    """Run what is missing, write the page and give its path."""
    import tensorflow as tf
    from claims import page
    from claims.runs import Results, read

    from kseg.errors import SettingsError

    if args.threads and not args.page:
        tf.config.threading.set_intra_op_parallelism_threads(args.threads)
        tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    if args.small and args.out is None and not args.page:
        raise SettingsError("--small: give --out DIR too; docs/results is not for its scores")
    args.out = args.out or Path("docs")
    (args.out / "results").mkdir(parents=True, exist_ok=True)
    results = Results(args.out / "results" / "claims.jsonl")
    for path in args.merge:
        if not path.is_file():
            raise SettingsError(f"--merge {path}: there is no such file")
        results.merge(read(path))
    if args.small and not args.page:
        _small(args)
    if not args.page:
        _check_only(args)
    for name in () if args.page else args.data:
        if name == "tests":
            _tests(args, results)
        elif name == "whole":
            _whole(args, results)
        else:
            _heads(args, results, name)
    return str(page.write(results.lines, args.out))


def _small(args: argparse.Namespace) -> None:
    args.data, args.seeds, args.steps, args.limit = ["tests", "camvid", "whole"], [0, 1], 6, 8
    args.only = args.only or ["fcn32s", "fcn16s", "psp-baseline", "psp-b1-ave", "scales", "whole-fcn8s"]


def _check_only(args: argparse.Namespace) -> None:
    from claims import heads, protocols, whole

    from kseg.errors import SettingsError

    others = {"tests": protocols.TESTS, "whole": whole.VARIANTS}
    keys = list(dict.fromkeys(one.key for name in args.data for one in others.get(name, heads.VARIANTS)))
    for word in args.only or ():
        if not any(word in key or word == f"={key}" for key in keys):
            parts, there = ", ".join(args.data), ", ".join(keys)
            raise SettingsError(f"--only {word}: none of {parts} is called so; there are {there}")


def _wanted(args: argparse.Namespace, key: str) -> bool:
    return args.only is None or any(word in key or word == f"={key}" for word in args.only)


def _tests(args: argparse.Namespace, results) -> None:
    from claims import datasets, protocols

    import kseg

    for one in protocols.TESTS:
        if not _wanted(args, one.key):
            continue
        if one.data == "people":
            dataset = datasets.people(args.root, "val")
        else:
            dataset = kseg.data.load("camvid", args.root / "camvid", "val")
        dataset = dataset[:4] if args.small else dataset
        if results.find(test=one.key, images=min(one.limit or len(dataset), len(dataset))):
            continue
        print(f"test: {one.key}", file=sys.stderr, flush=True)
        results.add(protocols.compare(one, dataset))


def _heads(args: argparse.Namespace, results, name: str) -> None:
    """Fill the cache of a data set, and train on it what is missing."""
    from claims import cache, datasets, heads, runs, stored

    variants = [variant for variant in heads.VARIANTS if _wanted(args, variant.key)]
    if not variants:
        return
    data = tuple(datasets.load(name, args.root, split) for split in ("train", "val"))
    if args.small:
        data = tuple(dataset[:16] for dataset in data)
    network = stored.narrow_maps()
    for dataset in data:
        views = VIEWS[name] if str(dataset.split) == "train" else 1

        def progress(done: int, rows: int, what: str = f"{name} {dataset.split}") -> None:
            if done == rows or done % 400 < cache.BATCH:
                print(f"cache of {what}: {done} of {rows}", file=sys.stderr, flush=True)

        settings = {"views": views, "augment": datasets.AUGMENT[name], "progress": progress}
        cache.make(args.cache / name, dataset, network, datasets.SIZES[name], **settings)
    steps, seeds = args.steps or STEPS[name], args.seeds or range(SEEDS[name])
    settings = {"steps": steps, "limit": args.limit}
    train = partial(runs.train, cache=args.cache / name, train=data[0], val=data[1], **settings)
    runs.train_all(variants, seeds, results, train, data=name, **settings)


def _whole(args: argparse.Namespace, results) -> None:
    """Train whole networks, and score them in other ways."""
    from claims import runs, whole

    steps, seeds = args.steps or STEPS["whole"], args.seeds or range(SEEDS["whole"])
    wanted = [variant for variant in whole.VARIANTS if _wanted(args, variant.key)]
    data = {name: whole.load(args.root, name, args.small) for name in {variant.data for variant in wanted}}

    def train(variant, seed):
        settings = {"steps": steps, "limit": args.limit}
        return whole.run(variant, seed, args.cache / f"whole-{steps}", data[variant.data], **settings)

    runs.train_all(wanted, seeds, results, train, data="whole", steps=steps, limit=args.limit)


if __name__ == "__main__":
    raise SystemExit(main())
