"""A curved subspace: a variational autoencoder on what each image says of the subspace's bases."""
