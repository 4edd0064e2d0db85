"""Published weight files: safe readers, and one key map a source."""
