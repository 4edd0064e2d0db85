"""Write TensorFlow Serving's layout, and read the model back as the server does."""

import numpy as np
import tensorflow as tf

import kseg

kseg.export.saved_model(kseg.models.from_preset("people"), "served/people", overwrite=True)
served = tf.saved_model.load("served/people/1")
predict = served.signatures["serving_default"]
print(predict.structured_input_signature[1], "->", predict.structured_outputs)
image = np.zeros((1, 256, 256, 3), np.uint8)
(name,) = predict.structured_input_signature[1]
answer = predict(**{name: tf.constant(image)})
print({key: value.shape for key, value in answer.items()})
# With the server running: python apps/serving_client.py photo.jpg --model people --export served/people/1
