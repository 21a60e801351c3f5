"""Mixture of maps with known poses: discrete states found from a subspace's exact likelihoods."""
