"""Runtimes of exported files, one a module. Nothing here imports Keras; only `tf_saved_model` needs TensorFlow."""
