"""Make a preset from the development data, step by step, in one folder.

    python tools/people/make.py people --data ../shared/data --references ../shared/reference_models --out DIR
    python tools/people/make.py people_hd --data ../shared/data --references ../shared/reference_models --out DIR
    python tools/people/make.py camvid --data ../shared/data --out DIR
    python tools/people/make.py people_portrait --data ../shared/data --out DIR

Started again, it goes on where it stopped: a step whose output lies in DIR is left out. --seconds says how long to
train (people 16,700 and people_hd 5,000 on two cores, camvid 108 on an H200), --cpu trains without a GPU, in bfloat16.
The preset's files come to DIR/preset, with the texts of the card that is in the package.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
PROJECT = TOOLS.parents[1]
CARDS = PROJECT / "kseg" / "models" / "presets"
# The four runs of kseg train before camvid.py, each from the best.keras of the one before.
CAMVID_RUNS = (
    ("deeplabv2_efficientnetlite0", "camvid_lite0", ()),
    ("deeplabv2_efficientnetlite0", "camvid_lite0_finish", ()),
    ("deeplabv3plus_efficientnetlite0_stride8", "camvid_lite0_decoder", ()),
    (
        "deeplabv3plus_efficientnetlite0_stride8",
        "camvid_lite0_finish",
        (
            "--learning-rate",
            "6e-4",
            "--class-weights",
            "1",
            "1",
            "2",
            "1",
            "1",
            "1",
            "1.2",
            "1",
            "1",
            "1",
            "1",
        ),
    ),
)


@dataclass(frozen=True)
class Step:
    """One program and the file that it writes last."""

    output: Path
    command: tuple[str, ...]


def tool(name: str, *arguments: object) -> tuple[str, ...]:
    """The command of a script of this folder."""
    return (sys.executable, str(TOOLS / f"{name}.py"), *map(str, arguments))


def training(args: argparse.Namespace, seconds: float) -> list[object]:
    """What every training is told: how long, on what, and how much of it in a trial."""
    if args.seconds:
        seconds *= args.seconds / SECONDS[args.preset]
    told: list[object] = ["--data", args.out, "--out", args.out, "--seconds", seconds]
    told += ["--cpu"] * args.cpu
    if args.steps:
        told += ["--steps", args.steps, "--batch", 8]
    return told


def people_steps(args: argparse.Namespace) -> list[Step]:
    out = args.out
    both = [*limited(args), "--outlines", args.references, *([] if args.steps else ["--batch", 32])]
    trained = tool(
        *("train", *training(args, 5400), "--network", out / "start", "--name", "trained"),
        *("--portrait", 0.3, "--seed", 6, *both),
    )
    tuned = tool(
        *("train", *training(args, 1000), "--network", out / "trained", "--name", "tuned"),
        *("--portrait", 0.35, "--seed", 7, "--rate", 5e-4, "--warm", 60, "--average", 0.995),
        *("--freeze-statistics", *both),
    )
    last = tool(
        *("train", *training(args, 400), "--network", out / "mean", "--name", "last"),
        *("--portrait", 0.3, "--empty", 0.35, "--seed", 8, "--rate", 5e-4, "--warm", 30, "--average", 0.99),
        *("--freeze-statistics", *both),
    )
    again = tool(
        *("train", *training(args, 2900), "--network", out / "first", "--name", "again"),
        *("--portrait", 0.3, "--empty", 0.25, "--seed", 9, "--rate", 1e-3, "--warm", 60, *both),
    )
    teachers = ("--teachers", out / "people_hd.tflite", out / "final.tflite", "--teacher-weight", 0.5)
    taught = tool(
        *("train", *training(args, 5100), "--network", out / "final", "--name", "taught", *teachers),
        *("--portrait", 0.3, "--empty", 0.25, "--seed", 12, "--rate", 1.5e-3, "--warm", 100, *both),
    )
    return [
        *packed(args),
        begun(args, "people", "start"),
        Step(out / "trained.npz", trained),
        Step(out / "tuned.npz", tuned),
        Step(out / "mean.npz", mixed(out, "trained", "tuned", "mean")),
        Step(out / "last.npz", last),
        Step(out / "first.npz", mixed(out, "trained", "last", "first")),
        Step(out / "again.npz", again),
        Step(out / "final.npz", mixed(out, "first", "again", "final")),
        Step(out / "final.keras", finished(out, "start", "final.npz", "final.keras", "--shift", 0.35)),
        exported(args, "final", 256),
        *hd_trained(args),
        exported(args, "people_hd", 384),
        Step(out / "taught.npz", taught),
        Step(out / "both.npz", mixed(out, "final", "taught", "both")),
        Step(out / "people.keras", finished(out, "start", "both.npz", "people.keras", "--shift", 0.35)),
        preset_step(args, "people", args.data, ["--more-splits", "val_portraits", "val_empty"]),
    ]


def hd_steps(args: argparse.Namespace) -> list[Step]:
    return [
        *packed(args),
        *hd_trained(args),
        preset_step(args, "people_hd", args.data, ["--more-splits", "val_portraits", "val_empty"]),
    ]


def hd_trained(args: argparse.Namespace) -> list[Step]:
    """The model of `people_hd`, which teaches `people` too."""
    trained = tool(
        *("train", *training(args, 5000), "--network", args.out / "hd_start", "--name", "hd"),
        *("--size", 384, 384, "--portrait", 0.3, "--empty", 0.25, "--teacher-weight", 0.3, "--seed", 10),
        *("--rate", 1.5e-3, "--backbone-rate", 0.3, "--warm", 100, "--outlines", args.references),
        *limited(args),
        *([] if args.steps else ["--batch", 16]),
    )
    model = finished(args.out, "hd_start", "hd.npz", "people_hd.keras", "--shift", 0.2)
    return [
        begun(args, "people_hd", "hd_start"),
        Step(args.out / "hd.npz", trained),
        Step(args.out / "people_hd.keras", model),
    ]


def exported(args: argparse.Namespace, name: str, side: int) -> Step:
    """A model as the int8 file that teaches another."""
    files = (args.out / f"{name}.keras", args.out / f"{name}.tflite")
    told = [sys.executable, "-m", "kseg", "export", "--model", files[0], "--out", files[1]]
    told += ["--size", side, side, "--precision", "int8", "--data", "people", "--root", args.data]
    if args.limit:
        told += ["--limit", args.limit, "--calibration-count", 4, "--min-agreement", 0]
    return Step(files[1], tuple(map(str, told)))


def packed(args: argparse.Namespace) -> list[Step]:
    """What MediaPipe Selfie and DeepLabv3 see, and the packed images."""
    out, more = args.out, ["--data", args.data, "--out", args.out, *limited(args)]
    return [
        Step(out / "teachers.npz", tool("teacher", "--references", args.references, *more)),
        Step(out / "people.json", tool("pack", "people", *more)),
    ]


def begun(args: argparse.Namespace, preset: str, name: str) -> Step:
    """The network that a training starts from."""
    told = ["--references", args.references, "--data", args.out, "--out", args.out / name]
    return Step(args.out / f"{name}.npz", tool("start", preset, *told))


def limited(args: argparse.Namespace) -> list[object]:
    return ["--limit", args.limit] if args.limit else []


def camvid_steps(args: argparse.Namespace) -> list[Step]:
    out, start, steps = args.out, args.start, []
    root = args.data / "camvid"
    if start is None:
        for number, (model, recipe, more) in enumerate(CAMVID_RUNS):
            run = out / f"run{number}"
            command = [sys.executable, "-m", "kseg", "train", "--model", model, "--data", "camvid"]
            command += ["--root", str(root), "--recipe", recipe, "--out", str(run), *more]
            command += ["--init-from", start] if start else []
            steps.append(Step(run / "best.keras", tuple(command)))
            start = str(run / "best.keras")
    train = tool("camvid", *training(args, 108), "--network", out / "start", "--name", "tuned")
    return [
        *steps,
        Step(out / "start.npz", tool("graph", start, "--out", out / "start")),
        Step(out / "camvid.json", tool("pack", "camvid", "--data", args.data, "--out", out, *limited(args))),
        Step(out / "tuned.npz", train),
        Step(out / "camvid.keras", finished(out, "start", "tuned.npz", "camvid.keras")),
        preset_step(args, "camvid", root, []),
    ]


def portrait_steps(args: argparse.Namespace) -> list[Step]:
    mean = args.out / "mean.keras"
    made = preset_step(args, "people_portrait", args.data, ["--model", mean])
    return [Step(mean, tool("portrait", args.data, "--out", args.out)), made]


def mixed(out: Path, one: str, other: str, mean: str) -> tuple[str, ...]:
    return tool("soup", out / f"{one}.npz", out / f"{other}.npz", "--out", out / f"{mean}.npz")


def finished(out: Path, start: str, weights: str, model: str, *more: object) -> tuple[str, ...]:
    return tool(
        "finish", "--model", out / f"{start}.keras", "--weights", out / weights, "--out", out / model, *more
    )


def preset_step(args: argparse.Namespace, name: str, root: Path, more: list[object]) -> Step:
    """make_preset.py with the texts of the package's card."""
    card = json.loads((CARDS / f"{name}.json").read_text(encoding="utf-8"))
    out, model = args.out / "preset", args.out / f"{name}.keras"
    data = {"people_portrait": "framed_people", "people_hd": "people"}.get(name, name)
    told = [name, "--model", model, "--data", data, "--root", root]
    told += ["--size", *card["size"], "--out", out, "--data-text", card["data"]]
    for text in ("description", "licence", "limits"):
        told += [f"--{text}", card[text]]
    command = f"python tools/people/make.py {name} --data DATA --out DIR" + " --references REFERENCES" * (
        name in TAUGHT
    )
    if args.limit:
        told += ["--limit", args.limit, "--calibration", 4, "--max-drop", 1, "--min-agreement", 0]
    return Step(out / f"{name}.json", tool("make_preset", *told, "--command", command, *more))


def run(steps: list[Step]) -> None:
    """Run the steps whose output is missing, one after the other; stop at one that fails."""
    environment = {"PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    for number, step in enumerate(steps, 1):
        told = f"{number}/{len(steps)} {step.output}"
        if step.output.exists():
            print(f"{told}: is there", flush=True)
            continue
        print(told, flush=True)
        done = subprocess.run(step.command, env=environment, check=False)
        if done.returncode:
            raise SystemExit(
                f"{Path(step.command[1]).name} ended with {done.returncode}; start again to go on"
            )
        if not step.output.exists():
            raise SystemExit(f"{Path(step.command[1]).name} did not write {step.output}")


TAUGHT = ("people", "people_hd")  # by other networks
SECONDS = {"people": 16_700, "people_hd": 5000, "camvid": 108}  # of training
PRESETS = {
    "people": people_steps,
    "people_hd": hd_steps,
    "camvid": camvid_steps,
    "people_portrait": portrait_steps,
}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("preset", choices=PRESETS)
    made.add_argument("--data", required=True, type=Path, help="the folder of the development data")
    made.add_argument("--references", type=Path, help="the folder of the teachers' .tflite files (people, people_hd)")
    made.add_argument("--out", required=True, type=Path, help="the folder for everything that is made")
    made.add_argument("--seconds", type=float, help="of training")
    made.add_argument("--cpu", action="store_true", help="train without a GPU")
    made.add_argument(
        "--start", help="camvid: a .keras file or preset to go on from, in place of four runs of kseg train"
    )
    made.add_argument("--limit", type=int, help="of images, to try it")
    made.add_argument("--steps", type=int, help="of each training, to try it")
    return made


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    if args.preset in TAUGHT and args.references is None:
        parser().error(f"{args.preset} needs --references, the folder of the teachers")
    args.out.mkdir(parents=True, exist_ok=True)
    run(PRESETS[args.preset](args))


if __name__ == "__main__":
    main()
