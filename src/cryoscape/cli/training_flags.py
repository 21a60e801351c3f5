"""What the commands that train linear maps are asked alike."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LinearTrainingFlags:
    """Images, where maps may differ, and the machine.

    Parameters
    ----------
    poses
        poses.pkl; needed unless the particles file holds poses.
    ctf
        ctf.pkl; needed unless the particles file holds the CTF.
    ind
        Selection: .pkl of row numbers of the particles file.
    datadir
        Folder that image paths of a .star or .cs file are relative to.
    mask
        Where maps may differ: `solvent` (surroundings of the mean map), `sphere`, or a .mrc file, 1 inside.
    uninvert_data
        Do not multiply the images by -1: for dark particles on light ground.
    lazy
        Keep preprocessed images on disk beside the run instead of in memory.
    max_threads
        CPU threads.
    device
        auto, cpu, cuda, cuda:1 or mps.
    force
        Replace a run that is in the folder already.
    verbose
        Say more.
    """

    poses: Path | None = None
    ctf: Path | None = None
    ind: Path | None = None
    datadir: Path | None = None
    mask: str = "solvent"
    uninvert_data: bool = False
    lazy: bool = False
    max_threads: int | None = None
    device: str = "auto"
    force: bool = False
    verbose: Annotated[bool, Parameter(name=["-v", "--verbose"])] = False

    def of_request(self) -> dict[str, Any]:
        """Fields of `LinearTrainingRequest`."""
        return {
            "poses": self.poses,
            "ctf": self.ctf,
            "ind": self.ind,
            "datadir": self.datadir,
            "mask": self.mask,
            "invert_data": not self.uninvert_data,
            "lazy": self.lazy,
            "max_threads": self.max_threads,
            "device": self.device,
            "force": self.force,
        }
