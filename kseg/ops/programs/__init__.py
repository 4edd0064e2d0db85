"""Functions of tensors as one compiled program, or computed once more for their gradient."""
