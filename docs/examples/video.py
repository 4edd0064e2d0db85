"""Paint people over a video; the result has the same size and lasts as long."""

import kseg

predictor = kseg.inference.Predictor(kseg.models.from_preset("people"))
summary = kseg.inference.predict_video(predictor, "clip.mp4", "painted.mp4")
print(summary.frames, "frames of", summary.size, "at", summary.fps, "frames a second")
