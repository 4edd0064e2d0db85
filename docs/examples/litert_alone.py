"""Export a preset, then run it with LiteRT and NumPy alone, as on a device: no TensorFlow, no Keras, no kseg."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter

import kseg

kseg.export.tflite(kseg.models.from_preset("people"), "people.tflite", precision="float16")

interpreter = Interpreter("people.tflite")
interpreter.allocate_tensors()
(given,), (gives,) = interpreter.get_input_details(), interpreter.get_output_details()
image = np.zeros(given["shape"], np.float32)  # RGB 0-255
interpreter.set_tensor(given["index"], image)
interpreter.invoke()
labels = interpreter.get_tensor(gives["index"])[0].argmax(-1).astype(np.uint8)
print(labels.shape, "person on", f"{100 * (labels == 1).mean():.0f} % of the pixels")
