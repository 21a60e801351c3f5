"""`cryoscape occupancy maps`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def occupancy_maps(
    *,
    maps: Annotated[Path, Parameter(name=["--maps", "--mapdir"])],
    model: Annotated[list[Path], Parameter(consume_multiple=True)],
    resolution: float,
    chains: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    elements: Path | None = None,
    outdir: Annotated[Path, Parameter(name=["-o", "--outdir", "--refdir"])] = Path("01_PDB_mrc"),
    fit: Literal["check", "shift", "rigid", "ignore"] = "check",
    force: bool = False,
) -> None:
    """Make the density map of each structural element of an atomic model, on the grid of the maps.

    As ChimeraX's molmap and volume resample do, without ChimeraX. HETATM records count; hydrogens too.

    Example: cryoscape occupancy maps --maps kmeans500 --model prots.pdb rna.pdb --resolution 5 -o 01_PDB_mrc

    Parameters
    ----------
    maps
        Folder of the maps to be measured, or one of them.
    model
        PDB or mmCIF files (also .gz) in one frame, each called by its stem.
    resolution
        Of the maps of elements, in A: about that of the consensus map, or the voxel size where larger.
    chains
        Elements are these chains: A, or prots:A,B of one model, or prots:A:10-60 for residues [all chains].
    elements
        .toml or .csv of elements with names of their own, in place of --chains: H68 = "rna:R:1-60".
    outdir
        Folder for MODEL_chainX.mrc or NAME.mrc, and elements.json.
    fit
        check: refuse a model that does not lie in the maps; shift: move it there first; rigid: turn it too;
        ignore: use it as it is.
    force
        Replace maps that are there.
    """
    from cryoscape.workflows.occupancy_maps import occupancy_maps as make
    from cryoscape.workflows.occupancy_model import ModelRequest

    chosen = None if chains is None else tuple(chains)
    make(maps, ModelRequest(tuple(model), resolution, chosen, elements, fit), outdir, force)
