"""Variational autoencoder: image encoder, positionally encoded Fourier decoder."""
