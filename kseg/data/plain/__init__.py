"""What `Loader` and `Augment` do where TensorFlow is not installed: the same samples, drawn and resampled by NumPy."""
