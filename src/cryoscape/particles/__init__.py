"""The one metadata object, lazy image stacks, preprocessing to a Fourier store, simulation."""
