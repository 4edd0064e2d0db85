"""Times of the stages, frames a second, and the report of a run."""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

STAGES = ("grab", "infer", "draw", "show", "latency")


class Timings:
    """Milliseconds by stage: p50 and p95 of the last `kept` frames for the screen, of all for the report."""

    def __init__(self, kept: int = 120) -> None:
        self._all = {stage: array("f") for stage in STAGES}  # small: a day of frames is some 50 MB
        self._recent = {stage: deque(maxlen=kept) for stage in STAGES}
        self._shown: deque[float] = deque(maxlen=kept)
        self._lock = threading.Lock()
        self.frames, self._first = 0, 0.0

    def add(self, stage: str, seconds: float) -> None:
        with self._lock:
            self._all[stage].append(1000 * seconds)
            self._recent[stage].append(1000 * seconds)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.add(stage, time.perf_counter() - start)

    def shown(self, now: float) -> None:
        """A frame reached the screen or the file."""
        if not self.frames:
            self._first = now
        self.frames += 1
        self._shown.append(now)

    @property
    def fps(self) -> float:
        """Frames a second, of the last ones shown."""
        span = self._shown[-1] - self._shown[0] if len(self._shown) > 1 else 0.0
        return (len(self._shown) - 1) / span if span > 0 else 0.0

    def percentiles(self, recent: bool = True) -> dict[str, tuple[float, float]]:
        """(p50, p95) in milliseconds of each stage that was measured."""
        with self._lock:
            source = {k: list(v) for k, v in (self._recent if recent else self._all).items() if v}
        return {stage: tuple(float(v) for v in np.percentile(ms, (50, 95))) for stage, ms in source.items()}

    def report(self) -> dict:
        """All stages over the whole run, as JSON has them."""
        span = self._shown[-1] - self._first if self.frames > 1 else 0.0
        stages = {
            stage: {"p50_ms": round(p50, 3), "p95_ms": round(p95, 3)}
            for stage, (p50, p95) in self.percentiles(recent=False).items()
        }
        fps = (self.frames - 1) / span if span > 0 else 0.0
        return {"frames": self.frames, "seconds": round(span, 3), "fps": round(fps, 2), "stages": stages}


def outcome(timings: Timings, model: Any, capture: Any, ended: str) -> dict[str, Any]:
    """The report of a run: times, and whether it was complete.

    Args:
        timings: of the run.
        model: the `Segmentation`.
        capture: the `Capture`.
        ended: why the run ended, as `App` says it.
    """
    early = capture.early if ended == "end of the source" else ""
    if ended.startswith(("given up", "failed")):
        early = ended + (f" ({capture.fault})" if capture.fault else "")
    reasons = [reason for reason in (early, *capture.faults) if reason]
    return {
        **timings.report(),
        "model_size": list(model.size),
        "classes": list(model.classes),
        "reopened": capture.reopened,
        "damaged": capture.damaged,
        "complete": not early and not capture.damaged,
        "ended": ended,
        "message": "; ".join(reasons) or capture.fault,
    }
