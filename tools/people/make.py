"""Make a preset from the development data, step by step, in one folder.

    python tools/people/make.py people --data ../shared/data --references ../shared/reference_models --out DIR
    python tools/people/make.py people_hd --data ../shared/data --references ../shared/reference_models --out DIR
    python tools/people/make.py camvid --data ../shared/data --out DIR
    python tools/people/make.py people_portrait --data ../shared/data --out DIR

Started again, it goes on where it stopped: a step whose output lies in DIR is left out. --seconds says how long to
train (people 23,120 and people_hd 5,000 on two cores, camvid 108 on an H200), --cpu trains without a GPU, in bfloat16.
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


# Of train.py's windows: about head and shoulders, and without people.
MORE_EMPTY = ("--portrait", 0.3, "--empty", 0.25)


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
    """Trainings on masks and outlines first, then those that presets teach."""
    slow = ("--portrait", 0.3, "--rate", 5e-4, "--freeze-statistics")
    return [
        *packed(args),
        begun(args, "people", "start"),
        trained(args, 5400, "start", "trained", "--portrait", 0.3, "--seed", 6),
        trained(
            *(args, 1000, "trained", "tuned", *slow, "--portrait", 0.35, "--seed", 7),
            *("--average", 0.995, "--warm", 60),
        ),
        mixed(args.out, "trained", "tuned", "mean"),
        trained(args, 400, "mean", "last", *slow, "--empty", 0.35, "--seed", 8, "--average", 0.99, "--warm", 30),
        mixed(args.out, "trained", "last", "first"),
        trained(args, 2900, "first", "again", *MORE_EMPTY, "--seed", 9, "--rate", 1e-3, "--warm", 60),
        mixed(args.out, "first", "again", "final"),
        *taught_steps(args),
        preset_step(args, "people", args.data, ["--more-splits", "val_portraits", "val_empty"]),
    ]


def taught_steps(args: argparse.Namespace) -> list[Step]:
    """Two runs from the same weights with other teachers, their mean, and a last run from it."""
    hd, final, taught = (args.out / f"{name}.tflite" for name in ("people_hd", "final", "taught"))
    told = (*MORE_EMPTY, "--teacher-weight", 0.5, "--teachers", hd)
    return [
        finished(args, "start", "final", "final", 0.35),
        exported(args, "final", 256),
        *hd_trained(args),
        exported(args, "people_hd", 384),
        trained(args, 2000, "final", "taught", *told, "--seed", 11, "--rate", 1e-3, "--warm", 60),
        finished(args, "start", "taught", "taught", 0.35),
        exported(args, "taught", 256),
        trained(args, 5100, "final", "long", *told, final, "--seed", 12, "--rate", 1.5e-3, "--warm", 100),
        mixed(args.out, "long", "taught", "second"),
        trained(
            *(args, 1320, "second", "closing", *told, taught, "--empty", 0.3, "--seed", 13),
            *("--rate", 4e-4, "--warm", 40, "--average", 0.995),
        ),
        finished(args, "start", "closing", "people", 0.2),
    ]


def hd_steps(args: argparse.Namespace) -> list[Step]:
    return [
        *packed(args),
        *hd_trained(args),
        preset_step(args, "people_hd", args.data, ["--more-splits", "val_portraits", "val_empty"]),
    ]


def hd_trained(args: argparse.Namespace) -> list[Step]:
    """The model of `people_hd`, which teaches `people` too."""
    settings = ("--size", 384, 384, "--teacher-weight", 0.3, "--seed", 10, "--rate", 1.5e-3, "--warm", 100)
    return [
        begun(args, "people_hd", "hd_start"),
        trained(args, 5000, "hd_start", "hd", *MORE_EMPTY, *settings, "--backbone-rate", 0.3, batch=16),
        finished(args, "hd_start", "hd", "people_hd", 0.2),
    ]


def trained(
    args: argparse.Namespace, seconds: float, start: str, name: str, *settings: object, batch: int = 32
) -> Step:
    """A run of train.py from the weights of another step."""
    told = [*training(args, seconds), "--network", args.out / start, "--name", name, *limited(args)]
    told += ["--outlines", args.references, *([] if args.steps else ["--batch", batch]), *settings]
    return Step(args.out / f"{name}.npz", tool("train", *told))


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
        finished(args, "start", "tuned", "camvid"),
        preset_step(args, "camvid", root, []),
    ]


def portrait_steps(args: argparse.Namespace) -> list[Step]:
    mean = args.out / "mean.keras"
    made = preset_step(args, "people_portrait", args.data, ["--model", mean])
    return [Step(mean, tool("portrait", args.data, "--out", args.out)), made]


def mixed(out: Path, one: str, other: str, mean: str) -> Step:
    files = (out / f"{one}.npz", out / f"{other}.npz", "--out", out / f"{mean}.npz")
    return Step(out / f"{mean}.npz", tool("soup", *files))


def finished(args: argparse.Namespace, start: str, weights: str, name: str, shift: float = 0.0) -> Step:
    """A .keras file of trained weights."""
    model = args.out / f"{name}.keras"
    told = ["--model", args.out / f"{start}.keras", "--weights", args.out / f"{weights}.npz", "--out", model]
    return Step(model, tool("finish", *told, "--shift", shift))


def exported(args: argparse.Namespace, name: str, side: int) -> Step:
    """A model as the int8 file that teaches another."""
    files = (args.out / f"{name}.keras", args.out / f"{name}.tflite")
    told = [sys.executable, "-m", "kseg", "export", "--model", files[0], "--out", files[1]]
    told += ["--size", side, side, "--precision", "int8", "--data", "people", "--root", args.data]
    if args.limit:
        told += ["--limit", args.limit, "--calibration-count", 4, "--min-agreement", 0]
    return Step(files[1], tuple(map(str, told)))


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
SECONDS = {"people": 23_120, "people_hd": 5000, "camvid": 108}  # of training
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
