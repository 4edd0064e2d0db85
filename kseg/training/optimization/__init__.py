"""How weights move: optimizers, learning-rate schedules, gradient accumulation and averaged weights."""
