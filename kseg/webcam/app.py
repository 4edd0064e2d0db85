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
        max_frames: end after this many, or None.
        report: a JSON file for the times, or None.
        folder: for screenshots and recordings.
        view: the screen's state at the start.
        background: RGB colour or BGR image for "replace".
        smoothing: weight of the moving average of probabilities, 0 (off) to below 1.
        give_up: seconds without a frame that end a run without a window; a source that is not live gets 15 times that.

    Example:

    >>> from kseg.webcam import Settings
    >>> settings = Settings(live=False, headless=True, output=Path("painted.mp4"), max_frames=100)
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
    """The webcam program: frames of a source, painted with what a model sees, in a window or a video.

    It draws in the thread that calls `run`, for windows need the main one; reading and the model have their own.

    Args:
        opener: opens the source, as `kseg.webcam.opener` makes it.
        model: as `kseg.webcam.load` gives it.
        settings: how the program runs.
        window: where frames are shown; None opens one, unless the settings say headless.
        progress: called after each frame with the number of frames done.

    Example:

    >>> from kseg.webcam import App, Settings, load, opener
    >>> settings = Settings(headless=True, output=Path("painted.mp4"), max_frames=3)
    >>> report = App(opener("synthetic"), load("people"), settings).run()
    >>> report["frames"], report["complete"]
    (3, True)
    """

    def __init__(
        self,
        opener: Callable[[], Source],
        model: Segmentation,
        settings: Settings,
        window: Window | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
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
        """Run until the source ends, `max_frames` are done or the user quits.

        Ctrl-C ends a live source as the key q does.

        Returns:
            The report, which is also written where the settings name a file: frames, frames a second, times of the
            stages. Its `complete` is False where the source ended early, was given up, or could not be read in parts,
            and `message` says why.

        Raises:
            KeyboardInterrupt: Ctrl-C, where every frame of a file was asked for; there is no `output` then.
            SettingsError: there is no display for a window.
            KsegError, OSError: of the model and of what is written; the report says it, too.
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
            self._ended = f"failed: {' '.join(str(error).split()) or type(error).__name__}"
            if self.output is not None and self.settings.live:
                what = f"is incomplete: it holds {self.timings.frames} frames from before a failure"
                warnings.warn(f"{self.settings.output} {what}", KsegWarning, stacklevel=2)
            with contextlib.suppress(OSError):  # a report that cannot be written must not hide the error
                self._report()
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

    def _done(self) -> bool:
        patience = self.settings.give_up * (1 if self.capture.live else SLOW)
        waits = self.settings.headless and not self.capture.ended  # at the end the model may need its time
        if self.settings.max_frames is not None and self.timings.frames >= self.settings.max_frames:
            self._ended = "max frames"
        elif (self.window is not None and self.window.closed) or self.view.quit:
            self._ended = "quit"
        elif self.pipeline.finished:
            self._ended = "end of the source"
        elif waits and self.capture.age > patience:
            self._ended = f"given up: no frame for {self.capture.age:.0f} s"
        return bool(self._ended)

    def _turn(self) -> None:
        """One result drawn and shown; without a new one, the last again, or a grey frame, with what there is to say."""
        waiting = self.view.paused and not self.view.step
        self.capture.held = self.view.paused  # a file stands still meanwhile
        result = None if waiting else self.pipeline.take()
        if waiting:
            time.sleep(0.02)
        if result is None:
            # Not at once: while the last frame is drawn again, the next one may come.
            if self.window is not None and (waiting or time.monotonic() - self._last_show > IDLE):
                if self._held is not None:
                    drawn = self._draw(*self._held)
                else:
                    drawn = np.full((*WAITING_SIZE, 3), 60, np.uint8)
                    screen.message(drawn, self.capture.message or "starting")
                self._show(drawn)
            return
        self.view.step = False
        with self.timings.measure("draw"):
            probabilities = self.smoothing(self.model.probabilities(result.output))
            frame = result.frame.image
            self._held = frame, labels_of(probabilities, frame.shape[:2]), probabilities
            drawn = self._draw(*self._held)
        with self.timings.measure("show"):
            if self.settings.output is not None:
                self.output = self.output or self._recorder(self.settings.output)
                self.output.write(drawn)
            if self.recording is not None:
                try:
                    self.recording.write(drawn)
                except (KsegError, OSError) as error:  # the live image goes on
                    self._end_recording(str(error))
            self._show(drawn)
        now = time.monotonic()
        self.timings.add("latency", now - result.frame.time)
        self.timings.shown(now)
        if self.progress is not None:
            self.progress(self.timings.frames)

    def _draw(self, frame: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """The painted frame with what is written on it; the times are renewed no faster than a person reads."""
        now = time.monotonic()
        drawn = self.painter(frame, labels, self.view, probabilities)
        drawn = drawn.copy() if drawn is frame else drawn
        if self.view.legend and not self.view.help:
            if now - self._said[0] > READING:
                times = self.timings.percentiles()
                stages = [f"{stage} {p50:.1f} / {p95:.1f} ms" for stage, (p50, p95) in times.items()]
                self._said = now, [f"{self.timings.fps:.1f} fps  (p50 / p95)", *stages]
            screen.legend(drawn, labels, self.painter, self._said[1], self.view)
        if self.capture.message:
            screen.message(drawn, self.capture.message)
        if now < self._notice_until:
            screen.message(drawn, self.notice, 0.9)
        if self.view.paused:
            screen.message(drawn, "paused: space goes on, . one frame", 0.8)
        if self.view.help:
            screen.help_text(drawn)
        return drawn

    def _show(self, drawn: np.ndarray) -> None:
        """Show a frame, and do what the key that was pressed asks for."""
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
        if self.view.recording and self.recording is None:
            try:
                path = unused(self.settings.folder, ".mp4")
            except OSError as error:
                self.view.recording = False
                self._say(f"no recording: {error.strerror} ({self.settings.folder})")
            else:
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

    def _say(self, notice: str) -> None:
        self.notice, self._notice_until = notice, time.monotonic() + 2

    def _report(self) -> dict:
        report = outcome(self.timings, self.model, self.capture, self._ended)
        if self.settings.report is not None:
            write_json(self.settings.report, report)
        return report
