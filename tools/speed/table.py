"""Every row of the speed table against its peer, in one run; written to docs/results/speed.md.

    python tools/benchmark.py table

Each side of a row has a process of its own; they do their work in turns (A B A B ...), so that a busy moment meets
both. A ratio is the peer's median time by kseg's: above 1 kseg is ahead. Never run while something else keeps
the machine busy.
"""

import datetime
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from growth import GROWTHS, Growth
from growth import line as growth_line

FOLDER = Path(__file__).resolve().parent
OUT = FOLDER.parents[1] / "docs" / "results" / "speed.md"
PACKAGES = ("keras", "tensorflow", "ai-edge-litert", "numpy", "torch", "albumentations", "pydensecrf2")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        work: what is done.
        kseg: the function of `sides` that does it by kseg.
        peer: that of the peer; None where there is none.
        called: the peer's name.
        goal: the ratio that is wanted, or without a peer the seconds.
        rounds: how often each side does it.
        memory: report the peak memory of both processes, too.
    """

    work: str
    kseg: str
    peer: str | None
    called: str
    goal: float
    rounds: int = 7
    memory: bool = False


ROWS = (
    Row(
        "training step, DeepLabV3+ on EfficientNet-Lite0, 8 x 256x352, 11 classes",
        "step_kseg",
        "step_torch",
        "segmentation_models.pytorch, channels last",
        2.0,
        5,
        memory=True,
    ),
    Row(
        "the same step, every stage of kseg's backbone computed twice (`--remat`)",
        "step_kseg 1",
        "step_torch",
        "segmentation_models.pytorch, keeping its maps",
        1.0,
        5,
        memory=True,
    ),
    Row(
        "its inference, one image of 360x480", "inference_kseg", "inference_torch", "the same (368x480)", 1.5
    ),
    Row(
        "pool and unpool, forward and backward, (4, 112, 112, 64), ten times",
        "unpooling_kseg",
        "unpooling_torch",
        "PyTorch's pair",
        2.0,
    ),
    Row("dense CRF, 500x375, 21 classes, 10 iterations", "crf_kseg", "crf_pydensecrf", "pydensecrf", 4.0, 5),
    Row("`people` int8 in LiteRT, 20 frames", "people_int8", "selfie", "MediaPipe Selfie 256", 1.3),
    Row(
        "`people` int8 in LiteRT, 20 frames",
        "people_int8",
        "deeplabv3",
        "DeepLabV3 MobileNetV2 513, int8",
        1.0,
        3,
    ),
    Row("`people` int8 against float32", "people_int8", "people_float32", "its float32 file", 2.0),
    Row("`camvid` int8 against float32", "camvid_int8", "camvid_float32", "its float32 file", 2.0, 5),
    Row(
        "`kseg predict photo.jpg --model people`",
        "predict_command",
        "import_tensorflow",
        "`import tensorflow` alone",
        1.0,
        3,
    ),
    Row("a wrong file given to `kseg webcam`", "webcam_mistake", None, "", 0.3, 5),
    Row(
        "training step, `pspnet_resnet50`, 2 x 473x473, 150 classes",
        "pspnet_step_kseg",
        "pspnet_step_torch",
        "the same network in PyTorch, channels last",
        1.5,
        3,
        memory=True,
    ),
    Row(
        "the same step, every stage of kseg's backbone computed twice (`--remat`)",
        "pspnet_step_kseg 1",
        "pspnet_step_torch",
        "the network in PyTorch, keeping its maps",
        1.0,
        3,
        memory=True,
    ),
    Row("its inference", "pspnet_inference_kseg", "pspnet_inference_torch", "the same", 1.3, 5, memory=True),
    Row(
        "input pipeline, decode and augment 80 images of CamVid",
        "whole.input_kseg",
        "whole.input_torch",
        "DataLoader and albumentations",
        1.0,
        5,
    ),
    Row(
        "`kseg evaluate`, CamVid's 101 validation images, DeepLabV3+ on EfficientNet-Lite0",
        "whole.evaluate_command",
        "whole.evaluate_torch",
        "PyTorch and torchmetrics, a script",
        1.0,
        1,
    ),
    Row(
        "`kseg train` up to its first step, checkpoint included",
        "whole.first_step_command",
        "whole.first_step_torch",
        "PyTorch, a script",
        1.0,
        1,
    ),
    Row(
        "prediction at six scales, 0.5 to 1.75, mirrored, one image of 360x480",
        "whole.scales_kseg",
        "whole.scales_torch",
        "segmentation_models.pytorch, a loop",
        1.3,
        3,
    ),
)


class Absent(Exception):
    """A side cannot be measured here; says why."""


class Side:
    """The process of one side."""

    def __init__(self, name: str):
        command = [sys.executable, str(FOLDER / "worker.py"), *name.split()]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.name, self.times = name, []
        said = self.process.stdout.readline().strip()
        if said != "ready":
            self.close()
            raise Absent(said.removeprefix("absent ") or f"{name} broke off")

    def run(self) -> None:
        self.times.append(float(self._ask("run")))

    def peak(self) -> float:
        return float(self._ask("peak"))

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def _ask(self, what: str) -> str:
        print(what, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise Absent(f"{self.name} broke off")
        return answer


@contextmanager
def opened(*names: str) -> Iterator[list[Side]]:
    """Both sides, ready; closed in the end."""
    found: list[Side] = []
    try:
        for name in names:
            found.append(Side(name))
        yield found
    finally:
        for side in found:
            side.close()


def measured(row: Row) -> list[str]:
    """The lines of a row, in Markdown."""
    try:
        with opened(*filter(None, (row.kseg, row.peer))) as sides:
            for _ in range(row.rounds):
                for side in sides:
                    side.run()
            peaks = [side.peak() for side in sides]
            times = [side.times for side in sides]
    except Absent as absent:
        return [f"| {row.work} | {row.called} | | | not measured: {absent} | {row.goal:g} |"]
    own, *peer = (statistics.median(side) for side in times)
    if not peer:
        return [f"| {row.work} | | {_spread(times[0])} | | {own:.2f} s | {row.goal:g} s |"]
    lines = [
        f"| {row.work} | {row.called} | {_spread(times[0])} | {_spread(times[1])} | **{peer[0] / own:.2f}** "
        f"| {row.goal:g} |"
    ]
    if row.memory:
        lines.append(
            f"| its peak memory | the same | {peaks[0]:,.0f} MiB | {peaks[1]:,.0f} MiB | **{peaks[1] / peaks[0]:.2f}** "
            "| 1 |"
        )
    return lines


def _spread(times: Sequence[float]) -> str:
    """Median, and from the fastest to the slowest."""
    unit, factor = ("ms", 1e3) if statistics.median(times) < 1 else ("s", 1)
    low, middle, high = (factor * value for value in (min(times), statistics.median(times), max(times)))
    digits = 1 if unit == "ms" else 2
    return f"{middle:.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f})"


def written(rows: Sequence[Row] = ROWS, out: Path = OUT, growths: Sequence[Growth] = GROWTHS) -> None:
    """Measure the rows, print each as it comes, and write the page; what it says below a heading after them stays."""
    lines = ["| work | peer | kseg | peer's | peer / kseg | goal |", "|---|---|---|---|---|---|"]
    for row in rows:
        found = measured(row)
        lines += found
        print("\n".join(found), flush=True)
    for growth in growths:
        try:
            lines.append(growth_line(growth, opened))
        except Absent as absent:
            lines.append(f"| growth of a training step with {growth.work} | | | | not measured: {absent} | |")
        print(lines[-1], flush=True)
    head = (
        "# Speed beside peers\n\n"
        "Written by `python tools/benchmark.py table`: both sides of a row took turns on the same machine; median "
        "(fastest to slowest). Above 1, kseg is ahead. "
        "Of growth: the power of the size that time and memory grow with, on top of a least step's.\n\n"
        f"{machine()}\n\n"
    )
    _, heading, kept = out.read_text(encoding="utf-8").partition("\n## ") if out.is_file() else ("", "", "")
    out.write_text(head + "\n".join(lines) + "\n" + heading + kept, encoding="utf-8")
    print(f"written: {out}")


def machine() -> str:
    """Date, processor, cores, load and versions."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if "model name" in line] if info.is_file() else []
    processor = names[0].split(":")[1].strip() if names else platform.processor() or platform.machine()
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    load = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    today = datetime.date.today().isoformat()
    python = f"Python {platform.python_version()}, {', '.join(versions)}"
    return f"{today}; {processor}, {os.cpu_count()} cores{load}; {python}."
