"""What makes a backbone from any Keras classifier: cut, dilate, decimate, copy its graph."""
