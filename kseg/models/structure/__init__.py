"""What every model of kseg is made of: the class around its graph, the blocks of its head, how it upsamples."""
