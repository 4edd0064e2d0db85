"""One image, three predictions: as it is, at several scales and mirrored, and refined by a dense CRF."""

import kseg

model = kseg.models.from_preset("people")
image = kseg.data.read_image("photo.jpg")
plain = kseg.inference.Predictor(model)
averaged = kseg.inference.Predictor(model, scales=(0.75, 1.0, 1.25), flip=True)
refined = kseg.inference.Predictor(model, crf=kseg.inference.DenseCRF())
for name, predictor in {"plain": plain, "averaged": averaged, "refined": refined}.items():
    print(f"{name:9} person on {100 * (predictor(image) == 1).mean():.1f} % of the pixels")
