from fractions import Fraction

import cv2
import numpy as np
import pytest

from kseg.errors import DataError, KsegWarning, SettingsError
from kseg.inference import predict_video
from kseg.io import video as module

PALETTE = ((0, 0, 0), (255, 0, 0))


class Bright:
    """Class 1 where a picture is bright."""

    num_classes = 2

    class model:
        classes, palette = ("dark", "bright"), PALETTE

    def __call__(self, image):
        return (image[..., 1] > 128).astype(np.uint8)


def clip(path, count=6, size=(48, 64), fps=12.5):
    """A white bar that moves to the right."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, size[::-1])
    for number in range(count):
        frame = np.zeros((*size, 3), np.uint8)
        frame[:, 8 * number : 8 * number + 16] = 255
        writer.write(frame)
    writer.release()
    return path


def read(path):
    capture = cv2.VideoCapture(str(path))
    found = []
    while (answer := capture.read())[0]:
        found.append(answer[1])
    return found, capture.get(cv2.CAP_PROP_FPS)


def test_rate_size_masks_and_progress(tmp_path):
    seen = []
    source = clip(tmp_path / "in.avi")
    summary = predict_video(
        Bright(),
        source,
        tmp_path / "new" / "out.mp4",
        masks=tmp_path / "masks",
        alpha=1.0,
        progress=lambda done, total: seen.append((done, total)),
    )
    frames, fps = read(tmp_path / "new" / "out.mp4")
    assert (len(frames), fps, summary.size, summary.damaged) == (6, 12.5, (48, 64), ())
    assert seen[-1] == (6, 6)
    red = frames[2][20, 16 + 8]  # BGR, through a lossy codec
    assert red[2] > 180
    assert red[1] < 80
    mask = cv2.imread(str(tmp_path / "masks" / "000003.png"), cv2.IMREAD_GRAYSCALE)
    assert len(list((tmp_path / "masks").iterdir())) == 6
    assert (mask[:, 26:38] > 0).all()
    assert (mask[:, :20] == 0).all()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["out.mp4"]


class Faulty:
    """A capture that fails at given reads."""

    def __init__(self, good, bad):
        self.good, self.bad, self.place = list(good), set(bad), -1

    def read(self):
        self.place += 1
        if self.place in self.bad or not self.good:
            return False, None
        return True, self.good.pop(0)

    def get(self, what):
        return {cv2.CAP_PROP_FPS: 10.0, cv2.CAP_PROP_FRAME_COUNT: 6.0}.get(what, 0.0)

    def release(self):
        pass


def test_damaged_frames_show_the_one_before(tmp_path, monkeypatch):
    good = [np.full((32, 32, 3), value, np.uint8) for value in (10, 240, 20, 250)]
    monkeypatch.setattr(module, "opened", lambda path: Faulty(good, {0, 3}))
    summary = predict_video(Bright(), "in.avi", tmp_path / "out.avi", alpha=0.0)
    frames, _ = read(tmp_path / "out.avi")
    assert summary.damaged == (0, 3)
    levels = [int(frame.mean().round(-1)) for frame in frames]
    assert levels == [10, 10, 240, 240, 20, 250]


def test_a_real_damaged_file(tmp_path):
    source = clip(tmp_path / "in.avi", count=12)
    data = bytearray(source.read_bytes())
    middle = data.find(b"00dc", len(data) // 2)
    data[middle + 8 : middle + 40] = bytes(32)
    source.write_bytes(data)
    summary = predict_video(Bright(), source, tmp_path / "out.mp4")
    assert summary.frames >= 11
    assert len(read(tmp_path / "out.mp4")[0]) == summary.frames


def test_a_video_that_breaks_off_is_told(tmp_path):
    source = clip(tmp_path / "in.avi", count=40)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    summary = predict_video(Bright(), source, tmp_path / "out.mp4")
    assert 0 < summary.frames < 38
    assert summary.missing == 40 - summary.frames


class Uncounted(Faulty):
    def get(self, what):
        return {cv2.CAP_PROP_FPS: 10.0}.get(what, -1.0)


def test_damage_in_a_video_that_does_not_say_its_length(tmp_path, monkeypatch):
    good = [np.full((32, 32, 3), value, np.uint8) for value in (10, 240, 20)]
    monkeypatch.setattr(module, "opened", lambda path: Uncounted(good, {1}))
    summary = predict_video(Bright(), "in.mkv", tmp_path / "out.avi", alpha=0.0)
    assert (summary.frames, summary.damaged, summary.missing) == (4, (1,), 0)


def test_odd_sizes_in_and_out(tmp_path):
    """Masks have the video's own size in any case, and the summary says what the file has."""
    source = tmp_path / "in.avi"
    writer = cv2.VideoWriter(str(source), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter_fourcc(*"MJPG"), 10, (65, 49))
    writer.write(np.full((49, 65, 3), 200, np.uint8))
    writer.release()
    summary = predict_video(Bright(), source, tmp_path / "out.avi", masks=tmp_path)
    assert summary.size == read(tmp_path / "out.avi")[0][0].shape[:2] == (49, 65)
    with pytest.warns(KsegWarning, match="becomes 64x48"):
        summary = predict_video(Bright(), source, tmp_path / "out.mp4", masks=tmp_path)
    assert summary.size == read(tmp_path / "out.mp4")[0][0].shape[:2] == (48, 64)
    assert cv2.imread(str(tmp_path / "000000.png"), cv2.IMREAD_UNCHANGED).shape[:2] == (49, 65)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_is_broken_off_leaves_nothing(tmp_path, error):
    class Breaks(Bright):
        left = 3

        def __call__(self, image):
            self.left -= 1
            if self.left < 0:
                raise error
            return super().__call__(image)

    source = clip(tmp_path / "in.avi")
    with pytest.raises(error):
        predict_video(Breaks(), source, tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["in.avi"]


def test_what_cannot_be_done_is_said(tmp_path):
    source = clip(tmp_path / "in.avi", count=2)
    with pytest.raises(DataError, match="no such video"):
        predict_video(Bright(), tmp_path / "none.mp4", tmp_path / "out.mp4")
    with pytest.raises(SettingsError, match="ends in"):
        predict_video(Bright(), source, tmp_path / "out.gif")
    with pytest.raises(SettingsError, match="overwrite"):
        predict_video(Bright(), source, source)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DataError, match="not a video"):
        predict_video(Bright(), tmp_path / "text.mp4", tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_video_without_a_good_frame(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "opened", lambda path: Faulty([], range(6)))
    with pytest.raises(DataError, match="none of its frames"):
        predict_video(Bright(), "in.avi", tmp_path / "out.avi")
    assert not list(tmp_path.iterdir())


def test_uneven_times_sar_and_masks(tmp_path):
    """4.4 seconds stay 4.4 seconds, and every stored frame has its mask and its time."""
    av = pytest.importorskip("av")
    times = [0, *range(20, 400, 20), *range(580, 4400, 200)]
    with av.open(str(tmp_path / "in.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=50)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 6 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.warns(KsegWarning, match="64x48 is shown as 96x48"):
        summary = predict_video(
            Bright(), tmp_path / "in.mkv", tmp_path / "out.mp4", masks=tmp_path / "masks", alpha=0.0
        )
    assert (summary.predicted, summary.uneven, summary.size) == (40, True, (48, 96))
    with av.open(str(tmp_path / "out.mp4")) as container:
        shown = [(frame.time, frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]
    assert len(shown) / summary.fps == pytest.approx(4.4, abs=0.2)
    with av.open(str(tmp_path / "in.mkv")) as container:
        for frame in container.decode(video=0):
            level = frame.to_ndarray(format="gray").mean()
            then = [other for time, other in shown if abs(time - frame.time) < 0.011]
            np.testing.assert_allclose(then[0], level, atol=5)
    masks = sorted((tmp_path / "masks").glob("*.png"))
    assert len(masks) == 40
    assert cv2.imread(str(masks[0]), cv2.IMREAD_UNCHANGED).shape[:2] == (48, 64)
    rows = (tmp_path / "masks" / "times.csv").read_text().splitlines()
    assert rows[0] == "mask,seconds"
    assert rows[21] == "000020.png,0.580"
