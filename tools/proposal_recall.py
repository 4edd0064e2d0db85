"""How many objects of one class Edge Boxes find, against the count of boxes.

    python tools/proposal_recall.py --data voc --root voc_people --class person
    python tools/proposal_recall.py --data voc --root voc_people --class person --smallest 112

An object is a connected region of the class with 1000 pixels or more, and is found where a box overlaps its own
by the intersection over union of the column. --smallest leaves out boxes as the prediction by proposals does.
Proposals are kept in the folder --cache, so that a second run is quick.
"""

import argparse
import os
import sys

COUNTS = (10, 20, 50, 100, 200, 500, 1000, 2000)


def main(argv: list[str] | None = None) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="voc", help="data set (voc)")
    parser.add_argument("--root", required=True, help="the folder that holds it")
    parser.add_argument("--split", default="val", help="val")
    parser.add_argument("--class", default="person", dest="name", help="person")
    parser.add_argument(
        "--smallest", type=int, default=0, help="shortest side of a box with its context, pixels"
    )
    parser.add_argument("--cache", help="folder for the proposals (default: kseg's own)")
    args = parser.parse_args(argv)

    from kseg.cli.terminal import Bar
    from kseg.data import load
    from kseg.errors import KsegError
    from kseg.inference import ProposalCache, proposal_recall
    from kseg.inference.proposals.cache import default_cache_folder

    try:
        dataset = load(args.data, args.root, args.split)
        if args.name not in dataset.classes[1:]:
            parser.error(f"no class {args.name!r}; there are {', '.join(dataset.classes[1:])}")
        propose = not_smaller(ProposalCache(args.cache or default_cache_folder()), args.smallest)
        with Bar("searching") as bar:
            recall = proposal_recall(
                dataset, dataset.classes.index(args.name), counts=COUNTS, propose=propose, progress=bar
            )
    except KsegError as error:
        print(f"proposal_recall: {error}", file=sys.stderr)
        return 2
    print(f"{dataset.name} {dataset.split}, {args.name}")
    print(recall.table())
    return 0


def not_smaller(propose, smallest: int):
    """Proposals without those whose shorter side, with its context, is below ``smallest`` pixels."""
    from kseg.data.objects import with_context

    def found(image, count):
        boxes = propose(image, count)
        wide = with_context(boxes, 1.2)
        return boxes[(wide[:, 2:] - wide[:, :2]).min(-1, initial=2**31 - 1) >= smallest]

    return found


if __name__ == "__main__":
    sys.exit(main())
