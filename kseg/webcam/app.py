"""The webcam program: a live overlay in a window, or without one into a video."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from kseg.errors import KsegError, KsegWarning
from kseg.io.atomic import write_json
from kseg.io.video_file import VideoFile
from kseg.webcam import screen
from kseg.webcam.capture import Capture
from kseg.webcam.output import Recorder, Window, screenshot, unused
from kseg.webcam.pipeline import Pipeline
from kseg.webcam.screen import Painter
from kseg.webcam.segmentation import Segmentation
from kseg.webcam.smoothing import Smoothing, labels_of
from kseg.webcam.source import Source
from kseg.webcam.timing import Timings, outcome
from kseg.webcam.view import View

IDLE = 0.15  # seconds without a frame after which the last is drawn again, with what there is to say
# Seconds for which a thread may keep the interpreter; Python's 5 ms are as long as an inference.
HANDOVER = 0.0003
READING = 0.2  # seconds for which the times on the screen stand
WAITING_SIZE = (480, 640)  # of the screen before the first frame
SLOW = 15  # times `give_up`: the patience with a file, which has no more to give if it is left


@dataclass
class Settings:
    """How the program runs.

    Attributes:
        live: the newest frame only; False works through every frame of a file.
        headless: no window.
        output: a video of what is drawn, or None.
        max_frames: end after so many, or None.
        report: a JSON file for the times, or None.
        folder: for screenshots and recordings.
        view: the screen's state at the start.
        background: RGB colour or BGR image for "replace".
        smoothing: weight of the moving average of probabilities.
        give_up: headless, seconds without a frame from a live source after which to end; 15 times as long with
            others.
    """

    live: bool = True
    headless: bool = False
    output: Path | None = None
    max_frames: int | None = None
    report: Path | None = None
    folder: Path = Path(".")
    view: View = field(default_factory=View)
    background: tuple[int, int, int] | np.ndarray = (0, 160, 80)
    smoothing: float = 0.6
    give_up: float = 20.0


class App:
    """Draws and shows what the pipeline gives, in the thread that calls ``run`` (windows need the main one).

    Args:
        opener: opens the source; see ``kseg.webcam.source.opener``.
        model: a ``Segmentation``.
        settings: see ``Settings``.
        window: made of ``Window`` unless given or headless.
        progress: called with the number of frames done.
    """

    def __init__(
        self,
        opener: Callable[[], Source],
        model: Segmentation,
        settings: Settings,
        window: Window | None = None,
        progress: Callable[[int], None] | None = None,
    ):
        self.model, self.settings, self.view = model, settings, settings.view
        self.timings = Timings()
        self.capture = Capture(opener, newest=settings.live)
        self.smoothing = Smoothing(settings.smoothing if self.view.smoothing else 0.0)
        self.pipeline = Pipeline(self.capture, model.scores, self.timings)
        self.painter = Painter(model.classes, model.palette, settings.background)
        self.window, self.progress = window, progress
        self.output: VideoFile | None = None
        self.recording: Recorder | None = None
        self.notice, self._notice_until = "", 0.0
        self.saved: list[Path] = []
        self._said: tuple[float, list[str]] = (float("-inf"), [])
        self._last_show = 0.0
        self._held: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self._ended = ""

    def run(self) -> dict:
        """Run until the source ends, ``max_frames`` are done or the user quits; gives the report.

        Its ``complete`` is False where the source ended early, was given up, or could not be read in parts, and
        ``message`` says why. Ctrl-C ends a live source like the key q. Where every frame of a file was asked for,
        KeyboardInterrupt is raised, and there is no ``output``. After any other error the report says it, too.
        """
        if self.window is None and not self.settings.headless:
            self.window = Window()
        before, threads = sys.getswitchinterval(), cv2.getNumThreads()
        sys.setswitchinterval(HANDOVER)
        cv2.setNumThreads(1)  # its threads wait by spinning, on the cores that the model needs
        self.capture.start()
        self.pipeline.start()
        kept = self.settings.live
        try:
            while not self._done():
                self._turn()
            kept = True
        except KeyboardInterrupt:
            if not self.timings.frames or not kept:
                raise
            self._ended = "interrupted"
        except Exception as error:
            self._failed(error)
            raise
        finally:
            sys.setswitchinterval(before)
            cv2.setNumThreads(threads)
            self.pipeline.stop()
            if self.window is not None:
                self.window.close()
            if self.output is not None:
                self.output.close() if kept else self.output.discard()
            if self.recording is not None:
                self.recording.close()
        return self._report()

    def _failed(self, error: Exception) -> None:
        """The report of a run that an error ends; that it cannot be written must not hide the error."""
        self._ended = f"failed: {' '.join(str(error).split()) or type(error).__name__}"
        if self.output is not None and self.settings.live:
            what = f"{self.settings.output} is incomplete: it holds {self.timings.frames} frames from before a failure"
            warnings.warn(what, KsegWarning, stacklevel=3)
        with contextlib.suppress(OSError):
            self._report()

    def _done(self) -> bool:
        if self.settings.max_frames is not None and self.timings.frames >= self.settings.max_frames:
            self._ended = "max frames"
        elif (self.window is not None and self.window.closed) or self.view.quit:
            self._ended = "quit"
        elif self.pipeline.finished:
            self._ended = "end of the source"
        elif self._given_up():
            self._ended = f"given up: no frame for {self.capture.age:.0f} s"
        return bool(self._ended)

    def _given_up(self) -> bool:
        waits = self.settings.headless and not self.capture.ended  # at the end the model may need its time
        return waits and self.capture.age > self.settings.give_up * (1 if self.capture.live else SLOW)

    def _turn(self) -> None:
        """One result drawn and shown; without a new one, the last again with what there is to say."""
        waiting = self.view.paused and not self.view.step
        self.capture.held = self.view.paused  # a file stands still meanwhile
        result = None if waiting else self.pipeline.take()
        if waiting:
            time.sleep(0.02)
        if result is None:
            # Not at once: while the last frame is drawn again, the next one may come.
            if waiting or time.monotonic() - self._last_show > IDLE:
                self._idle()
            return
        self.view.step = False
        with self.timings.measure("draw"):
            probabilities = self.smoothing(self.model.probabilities(result.output))
            frame = result.frame.image
            self._held = frame, labels_of(probabilities, frame.shape[:2]), probabilities
            drawn = self._draw(*self._held)
        with self.timings.measure("show"):
            self._write(drawn)
            self._show(drawn)
        now = time.monotonic()
        self.timings.add("latency", now - result.frame.time)
        self.timings.shown(now)
        if self.progress is not None:
            self.progress(self.timings.frames)

    def _draw(self, frame: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """The painted frame with what is written on it."""
        drawn = self.painter(frame, labels, self.view, probabilities)
        drawn = drawn.copy() if drawn is frame else drawn
        if self.view.legend and not self.view.help:
            screen.legend(drawn, labels, self.painter, self._lines(), self.view)
        self._annotate(drawn)
        return drawn

    def _annotate(self, drawn: np.ndarray) -> None:
        if self.capture.message:
            screen.message(drawn, self.capture.message)
        if time.monotonic() < self._notice_until:
            screen.message(drawn, self.notice, 0.9)
        if self.view.paused:
            screen.message(drawn, "paused: space goes on, . one frame", 0.8)
        if self.view.help:
            screen.help_text(drawn)

    def _lines(self) -> list[str]:
        """Frames a second, and p50 / p95 of each stage; renewed no faster than a person reads."""
        now = time.monotonic()
        if now - self._said[0] > READING:
            times = self.timings.percentiles()
            stages = [f"{stage} {p50:.1f} / {p95:.1f} ms" for stage, (p50, p95) in times.items()]
            self._said = now, [f"{self.timings.fps:.1f} fps  (p50 / p95)", *stages]
        return self._said[1]

    def _idle(self) -> None:
        """Nothing new: keep the window alive, with the last frame or a grey one and the message."""
        if self.window is None:
            return
        if self._held is not None:
            drawn = self._draw(*self._held)
        else:
            drawn = np.full((*WAITING_SIZE, 3), 60, np.uint8)
            screen.message(drawn, self.capture.message or "starting")
        self._show(drawn)

    def _show(self, drawn: np.ndarray) -> None:
        if self.window is None:
            return
        self._last_show = time.monotonic()
        before = self.view.smoothing
        self.view.press(self.window.show(drawn), len(self.model.classes))
        if self.view.smoothing != before:
            self.smoothing.weight = self.settings.smoothing if self.view.smoothing else 0.0
            self.smoothing.reset()
        if self.view.screenshot:
            self.view.screenshot = False
            try:
                path = screenshot(drawn, self.settings.folder)
            except OSError as error:
                self._say(f"no screenshot: {error.strerror} ({self.settings.folder})")
            else:
                self.saved.append(path)
                self._say(f"saved {path.name}")
        self._toggle_recording()

    def _toggle_recording(self) -> None:
        if self.view.recording and self.recording is None:
            try:
                path = unused(self.settings.folder, ".mp4")
            except OSError as error:
                self.view.recording = False
                self._say(f"no recording: {error.strerror} ({self.settings.folder})")
                return
            self.recording = self._recorder(path)
            self._say(f"recording {path.name}")
        elif not self.view.recording and self.recording is not None:
            self._end_recording()

    def _end_recording(self, why: str = "") -> None:
        """Close what is recorded; the screen says where it is, and why it ended where not by the key."""
        recording, self.recording, self.view.recording = self.recording, None, False
        try:
            recording.close()
        except (KsegError, OSError) as error:
            why = why or str(error)
        if recording.path.exists():
            self.saved.append(recording.path)
            why = f"saved {recording.path.name}" + (f"; {why}" if why else "")
        self._say(why or "nothing was recorded")

    def _recorder(self, path: Path) -> VideoFile:
        return (Recorder if self.settings.live else VideoFile)(path, self.capture.fps)

    def _write(self, drawn: np.ndarray) -> None:
        if self.settings.output is not None:
            if self.output is None:
                self.output = self._recorder(self.settings.output)
            self.output.write(drawn)
        if self.recording is not None:
            try:
                self.recording.write(drawn)
            except (KsegError, OSError) as error:  # the live image goes on
                self._end_recording(str(error))

    def _say(self, notice: str) -> None:
        self.notice, self._notice_until = notice, time.monotonic() + 2

    def _report(self) -> dict:
        report = outcome(self.timings, self.model, self.capture, self._ended)
        if self.settings.report is not None:
            write_json(self.settings.report, report)
        return report
