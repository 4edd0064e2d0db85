"""The fully connected CRF: mean field on the permutohedral lattice, its settings file, and their search."""
