"""A paper's ablations, run again: train every variant under one budget with several seeds, and print the paper's
tables with its numbers beside ours.

    python tools/pspnet/ablate.py pspnet --data camvid --root DIR --out runs/ablation --epochs 6 --seeds 0 1 2
    python tools/pspnet/ablate.py pspnet --data camvid --root DIR --out runs/ablation --table      what is there so far

Every training is a run folder OUT/VARIANT-SEED with its scores in scores.json; the same command again goes on where
it was broken off. Seeds come last, so that all variants have the first seed before any has the second. The last
epoch's weights are scored on the validation split, which nothing in a run looks at.

Beside each of the paper's orderings stands whether it shows here: the mean of the paired differences over the seeds,
against Student's interval of 95 %. Within that it is noise, and with one seed nothing can be said.
"""

import argparse
import json
import math
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
# Student's t, two-sided 95 %, by degrees of freedom.
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)


@dataclass(frozen=True)
class Variant:
    """One training: PSPNet's pyramid (no bins: the dilated backbone alone) and the second head's weight."""

    bins: tuple[int, ...] = ()
    mode: str = "average"
    reduce: bool = True
    auxiliary: float | None = 0.4

    @property
    def key(self) -> str:
        """The run folder's name, without the seed."""
        pyramid = "baseline"
        if self.bins:
            pyramid = f"b{''.join(map(str, self.bins))}-{'ave' if self.mode == 'average' else 'max'}"
            pyramid += "-dr" * self.reduce
        return f"{pyramid}-aux{self.auxiliary or 0:g}"


@dataclass(frozen=True)
class Row:
    """A line of a table: the paper's words and scores (mean IoU, pixel accuracy), and what is to be run for it."""

    label: str
    paper: tuple[float, float]
    variant: Variant
    protocol: str = "single"


ALL = (1, 2, 3, 6)
FULL = Variant(ALL)
# Zhao et al. 2017, tables 1, 2 and 3: ResNet50 on ADE20K's validation split, per cent. Table 1's rows all have the
# auxiliary loss of weight 0.4; table 2 is without the pyramid.
PSPNET = {
    "Pooling (the paper's table 1)": (
        Row("ResNet50-Baseline", (37.23, 78.01), Variant()),
        Row("ResNet50+B1+MAX", (39.94, 79.46), Variant((1,), "max", reduce=False)),
        Row("ResNet50+B1+AVE", (40.07, 79.52), Variant((1,), reduce=False)),
        Row("ResNet50+B1236+MAX", (40.18, 79.45), Variant(ALL, "max", reduce=False)),
        Row("ResNet50+B1236+AVE", (41.07, 79.97), Variant(ALL, reduce=False)),
        Row("ResNet50+B1236+MAX+DR", (40.87, 79.61), Variant(ALL, "max")),
        Row("ResNet50+B1236+AVE+DR", (41.68, 80.04), FULL),
    ),
    "Auxiliary loss (table 2)": (
        Row("ResNet50 (without AL)", (35.82, 77.07), Variant(auxiliary=None)),
        Row("ResNet50 (with a = 0.3)", (37.01, 77.87), Variant(auxiliary=0.3)),
        Row("ResNet50 (with a = 0.4)", (37.23, 78.01), Variant()),
        Row("ResNet50 (with a = 0.6)", (37.09, 77.84), Variant(auxiliary=0.6)),
        Row("ResNet50 (with a = 0.9)", (36.99, 77.87), Variant(auxiliary=0.9)),
    ),
    "Test (table 3)": (
        Row("PSPNet(50)", (41.68, 80.04), FULL),
        Row("PSPNet(50)+MS", (42.78, 80.76), FULL, "multi"),
    ),
}
# The paper's findings: the first is better than the second.
ORDERINGS = (
    ("ResNet50+B1+AVE", "ResNet50-Baseline"),
    ("ResNet50+B1+AVE", "ResNet50+B1+MAX"),
    ("ResNet50+B1236+AVE", "ResNet50+B1236+MAX"),
    ("ResNet50+B1236+AVE+DR", "ResNet50+B1236+MAX+DR"),
    ("ResNet50+B1236+AVE", "ResNet50+B1+AVE"),
    ("ResNet50+B1236+AVE+DR", "ResNet50+B1236+AVE"),
    ("ResNet50+B1236+AVE+DR", "ResNet50-Baseline"),
    ("ResNet50 (with a = 0.4)", "ResNet50 (without AL)"),
    ("ResNet50 (with a = 0.4)", "ResNet50 (with a = 0.9)"),
    ("PSPNet(50)+MS", "PSPNet(50)"),
)
PAPERS = {"pspnet": (PSPNET, "pspnet_efficientnetlite0", "PSPNet, Zhao et al. 2017: ResNet50 on ADE20K")}
# folder of a run -> protocol -> (mean IoU, pixel accuracy), in per cent
Scores = dict[tuple[Variant, int], dict[str, tuple[float, float]]]


def main(argv: list[str] | None = None) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from kseg.errors import KsegError

    args = _parser().parse_args(argv)
    try:
        print(run(args))
    except KsegError as error:
        print(f"ablate: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("paper", choices=PAPERS)
    parser.add_argument("--data", required=True, metavar="NAME", help="data set (kseg datasets lists them)")
    parser.add_argument("--root", metavar="DIR", help="the folder that holds it")
    parser.add_argument("--val-split", default="val", metavar="SPLIT")
    parser.add_argument("--out", default="runs/ablation", metavar="DIR", help="default: runs/ablation")
    parser.add_argument("--model", metavar="NAME", help="one of the paper's kind (default: its small form)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    parser.add_argument("--recipe", metavar="NAME", help="default: the data set's for this backbone")
    parser.add_argument("--epochs", type=int, default=6, help="of every training (default: 6)")
    parser.add_argument("--steps-per-epoch", type=int, metavar="N", help="default: once through the data")
    parser.add_argument("--batch-size", type=int, metavar="N")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of the crops")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="tables whose title holds such a word")
    parser.add_argument("--limit", type=int, metavar="N", help="score on so many validation images")
    parser.add_argument("--table", action="store_true", help="train nothing; print what is there")
    return parser


def run(args: argparse.Namespace) -> str:
    """Train and score what is missing, and give the tables as text (also in OUT/tables.txt)."""
    from kseg.errors import SettingsError

    tables, model, source = PAPERS[args.paper]
    words = [word.lower() for word in args.only or [""]]
    tables = {title: rows for title, rows in tables.items() if any(word in title.lower() for word in words)}
    if not tables:
        raise SettingsError(f"--only {' '.join(words)}: the tables are {', '.join(PAPERS[args.paper][0])}")
    model, out, seeds = args.model or model, Path(args.out), list(dict.fromkeys(args.seeds))
    rows = [row for part in tables.values() for row in part]
    plan = [(variant, seed) for seed in seeds for variant in dict.fromkeys(row.variant for row in rows)]
    recipe = _recipe(model, args)
    scores: Scores = {}
    for number, (variant, seed) in enumerate(plan, start=1):
        protocols = {row.protocol for row in rows if row.variant == variant}
        own = recipe.replace(name=variant.key, seed=seed, auxiliary_weight=variant.auxiliary)
        settings = {"model": model, "recipe": own.to_dict(), "limit": args.limit}
        folder = out / f"{variant.key}-{seed}"
        found = _read(folder, settings)
        if not args.table and protocols - set(found):
            print(f"{number} of {len(plan)}: {folder}", file=sys.stderr)
            found = train_and_score(folder, variant, settings, args, protocols, found)
        scores[variant, seed] = found
    steps = f" of {recipe.steps_per_epoch} steps" if recipe.steps_per_epoch else ""
    budget = f"{recipe.epochs} epochs{steps}, batches of {recipe.batch_size}, crops of {recipe.size}"
    heading = f"{source}\nhere: {model} on {args.data} {args.val_split}, {budget}"
    parts = [table(title, part, scores, seeds) for title, part in tables.items()]
    text = "\n\n".join([heading, *parts, orderings({row.label: row for row in rows}, scores, seeds)])
    if not args.table:
        (out / "tables.txt").write_text(text + "\n", encoding="utf-8")
    return text


def _recipe(model: str, args: argparse.Namespace):
    from kseg.errors import SettingsError
    from kseg.training import RECIPES, Recipe

    backbone = model.rpartition("_")[2]
    if args.recipe is not None and args.recipe not in RECIPES:
        raise SettingsError(f"there is no recipe {args.recipe!r}; there are {', '.join(RECIPES)}")
    fitting = [r for r in RECIPES.values() if r.data == args.data and r.model.endswith(f"_{backbone}")]
    fitting = sorted((r for r in fitting if r.reduction == "mean"), key=lambda r: r.model != model)
    general = Recipe(name="general", mirror=True, scale=(0.6, 1.6), warmup_steps=50)
    recipe = RECIPES[args.recipe] if args.recipe is not None else (fitting or [general])[0]
    given = {"epochs": args.epochs, "steps_per_epoch": args.steps_per_epoch, "batch_size": args.batch_size}
    given |= {"size": args.size, "validate_every": args.epochs}
    changes = {name: value for name, value in given.items() if value is not None}
    return recipe.replace(model=model, data=args.data, expected_score=None, expected_minutes=None, **changes)


def build(model: str, num_classes: int, variant: Variant, seed: int):
    """The network of a variant, on the catalog network's backbone with its weights."""
    import keras

    import kseg

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    whole = kseg.models.build(model, num_classes)
    if not isinstance(whole, kseg.models.PSPNet):
        raise kseg.errors.SettingsError(f"--model {model} is no PSPNet")
    same = ("filters", "dropout", "momentum", "align_corners")
    settings = {name: getattr(whole, name) for name in same}
    chosen = {"bins": variant.bins, "mode": variant.mode, "reduce": variant.reduce}
    return kseg.models.PSPNet(whole.backbone, num_classes, name=model, **chosen, **settings)


def train_and_score(
    folder: Path,
    variant: Variant,
    settings: dict,
    args: argparse.Namespace,
    protocols: set[str],
    found: dict[str, tuple[float, float]],
) -> dict[str, tuple[float, float]]:
    """Finish the run in a folder, and score it by the protocols that are missing ("single", "multi")."""
    import kseg

    train = kseg.data.load(args.data, args.root)
    val = kseg.data.load(args.data, args.root, args.val_split)
    recipe = kseg.training.Recipe.from_dict(settings["recipe"])
    model = build(settings["model"], train.num_classes, variant, recipe.seed)
    kseg.training.fit(model, recipe, train, None, folder, model_name=settings["model"], tensorboard=False)
    found = dict(found)
    for protocol in sorted(protocols - set(found), reverse=True):
        test = {"scales": SCALES, "flip": True} if protocol == "multi" else {}
        report = kseg.evaluation.evaluate(kseg.inference.Predictor(model, **test), val, limit=args.limit)
        found[protocol] = (100 * float(report.mean_iou), 100 * float(report.pixel_accuracy))
        part = folder / "scores.json.part"  # a run that is broken off leaves no half file
        part.write_text(json.dumps({"settings": settings, "scores": found}, indent=2), encoding="utf-8")
        part.replace(folder / "scores.json")
    return found


def _read(folder: Path, settings: dict) -> dict[str, tuple[float, float]]:
    """The scores of a finished run with these settings; SettingsError if it had others."""
    from kseg.errors import SettingsError

    path = folder / "scores.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise SettingsError(f"{path}: damaged: remove it, and the run is scored again") from None
    if content["settings"] != json.loads(json.dumps(settings)):
        raise SettingsError(f"{path}: this run had other settings: take another --out, or remove the folder")
    return {protocol: tuple(pair) for protocol, pair in content["scores"].items()}


def table(title: str, rows: tuple[Row, ...], scores: Scores, seeds: list[int]) -> str:
    """The paper's columns, its numbers, and ours as mean and standard deviation over the seeds."""
    lines = [
        title,
        f"{'':26}{'paper':^16}   {'ours':^33}",
        f"{'Method':26}{'Mean IoU':>8}{'Pixel Acc.':>11}   {'Mean IoU':>14}{'Pixel Acc.':>16}  seeds",
    ]
    for row in rows:
        ours = _of_row(row, scores, seeds)
        iou, accuracy = (_spread([pair[i] for pair in ours.values()]) for i in range(2))
        paper = "{:8.2f}{:11.2f}".format(*row.paper)
        lines.append(f"{row.label:26}{paper}   {iou:>14}{accuracy:>16}  {len(ours):5}")
    return "\n".join(lines)


def _of_row(row: Row, scores: Scores, seeds: list[int]) -> dict[int, tuple[float, float]]:
    found = {seed: scores.get((row.variant, seed), {}) for seed in seeds}
    return {seed: pairs[row.protocol] for seed, pairs in found.items() if row.protocol in pairs}


def _spread(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}" if values else "-"


def orderings(rows: dict[str, Row], scores: Scores, seeds: list[int]) -> str:
    """Which of the paper's orderings by mean IoU show here."""
    lines = ["The paper's orderings by mean IoU: difference in the paper, ours (95 % interval), verdict"]
    for better, worse in ORDERINGS:
        if better not in rows or worse not in rows:
            continue
        theirs = rows[better].paper[0] - rows[worse].paper[0]
        ours = [_of_row(rows[label], scores, seeds) for label in (better, worse)]
        differences = [ours[0][seed][0] - ours[1][seed][0] for seed in seeds if all(seed in o for o in ours)]
        lines.append(f"{better + ' > ' + worse:49}{theirs:+6.2f}   {verdict(differences)}")
    return "\n".join(lines)


def verdict(differences: list[float]) -> str:
    """What paired differences say about an ordering that should make them positive."""
    if not differences:
        return "not run"
    mean = statistics.mean(differences)
    if len(differences) == 1:
        return f"{mean:+.2f}   one seed: cannot be told from noise"
    freedom = len(differences) - 1
    t = STUDENT[freedom - 1] if freedom <= len(STUDENT) else 2.2
    half = t * statistics.stdev(differences) / math.sqrt(len(differences))
    word = "within noise" if abs(mean) <= half else "shows" if mean > 0 else "reversed"
    return f"{mean:+.2f} ± {half:.2f}   {word}"


if __name__ == "__main__":
    raise SystemExit(main())
