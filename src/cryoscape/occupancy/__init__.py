"""How much of each part of an atomic model is there in each map; functions of atoms and arrays."""
