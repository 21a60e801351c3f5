"""Pure, batched torch functions: grids, transforms, rotations, CTF, slices, FSC, masks, density. No files."""
