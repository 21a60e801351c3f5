"""Maps at chosen points from the particles near them, as corrections of what a linear subspace predicts."""
