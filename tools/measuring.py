"""What the benchmarks share: the time of a call, peak memory, figures from a process of its own, the command line."""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def seconds(function: Callable[[], object], repeats: int) -> float:
    """The median time of a call, after one that is not counted."""
    return in_turns({"": function}, repeats)[""][0]


def in_turns(
    runs: Mapping[str, Callable[[], object]], rounds: int, warm: int = 0
) -> dict[str, tuple[float, float]]:
    """Median wall and processor seconds of each function; they take turns, so that a busy moment hits all.

    ``warm`` calls that are not counted go before each that is: for milliseconds, where the caches that the function
    before has filled, and its threads that still wait for more, would be counted to the next one.
    """
    times = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            for _ in range(warm):
                run()
            wall, processor = time.perf_counter(), time.process_time()
            run()
            if number:  # the first round is not counted
                times[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return {name: tuple(map(statistics.median, zip(*pairs, strict=True))) for name, pairs in times.items()}


def peak_mebibytes() -> float:
    """Peak resident memory of this process so far, or since `forget_peak`."""
    line = _of_linux("VmHWM")  # ru_maxrss also counts what the parent had when it started this process
    if line is not None:
        return line
    unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def forget_peak() -> float:
    """Let `peak_mebibytes` start anew, and return the resident memory of now; on Linux only, else the peak so far."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return peak_mebibytes()
    return _of_linux("VmRSS")


def _of_linux(name: str) -> float | None:
    """A figure of this process's status in mebibytes; None where the system has none."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 2**10


def figures(program: str, *arguments: str) -> tuple[float, ...]:
    """What ``say`` printed last in a process of its own, so that no other measurement is in its way."""
    command = [sys.executable, program, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return tuple(map(float, done.stdout.split()[-1].split(",")))


def say(*values: float) -> None:
    """Print figures for ``figures`` to read."""
    print(",".join(map(str, values)))


def run(
    description: str,
    measurements: Mapping[str, Callable[[], None]],
    hidden: Mapping[str, Callable[[], None]],
    argv: list[str] | None = None,
) -> int:
    """The command line of a benchmark: the named measurements, or all; ``hidden`` ones are its own processes."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"{', '.join(measurements)}; default: all")
    args = parser.parse_args(argv)
    known = {**measurements, **hidden}
    unknown = [what for what in args.what if what not in known]
    if unknown:
        parser.error(f"unknown measurement {', '.join(unknown)}; known are {', '.join(measurements)}")
    for what in args.what or measurements:
        known[what]()
    return 0
