"""Encoders that name their stages, and the surgery that makes one from any Keras classifier."""
