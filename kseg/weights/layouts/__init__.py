"""Key maps: where the arrays of published files go in kseg's networks, one source a file."""
