"""What TensorFlow Serving takes: a SavedModel with its signatures, and the files beside it."""
