"""One data set a file: where its pictures and masks lie, its classes and colours."""
