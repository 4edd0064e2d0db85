"""Prediction of many files: which, in which order, and what is written."""
