"""`Result`: what a prediction gives, and the sources it is made from."""
