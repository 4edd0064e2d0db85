"""One data set a file: where its images and masks lie, its classes and colours."""
