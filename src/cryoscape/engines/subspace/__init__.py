"""Linear subspace with exact posteriors: V(z) = mean + sum of z_j basis_j, by expectation maximisation."""
