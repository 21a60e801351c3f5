"""The table of commands. A new command is one file in this folder and one line here."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

CommandGroup = Literal["Try out", "Prepare", "Train", "Analyse", "Tools"]


@dataclass(frozen=True)
class Command:
    """A command: its name, what it does in one line, and under which heading it is listed.

    The function is ``cryoscape.cli.NAME:NAME``; its module is imported when the command is called. Commands
    of a family have names of two words, joined with an underscore there.
    """

    name: str
    group: CommandGroup
    summary: str

    @property
    def target(self) -> str:
        """Import path of the function, ``module:function``."""
        function = self.name.replace(" ", "_")
        return f"cryoscape.cli.{function}:{function}"

    @property
    def family(self) -> str | None:
        """First word of a name of two."""
        first, _, second = self.name.partition(" ")
        return first if second else None

    def load(self) -> Callable[..., Any]:
        """Import the function behind the command."""
        module, _, function = self.target.partition(":")
        loaded: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return loaded


COMMANDS = (
    Command("demo", "Try out", "See states found in simulated images, with a report; needs no data."),
    Command("doctor", "Try out", "Check this machine and say what will work on it."),
    Command("simulate", "Try out", "Simulate particle images of atomic models, with the truth."),
    Command("parse_pose_csparc", "Prepare", "Poses of a cryoSPARC refinement to poses.pkl."),
    Command("parse_pose_star", "Prepare", "Poses of a RELION star file to poses.pkl."),
    Command("parse_ctf_csparc", "Prepare", "CTF parameters of a cryoSPARC job to ctf.pkl."),
    Command("parse_ctf_star", "Prepare", "CTF parameters of a RELION star file to ctf.pkl."),
    Command("downsample", "Prepare", "Shrink particle images, or a volume."),
    Command("preprocess", "Prepare", "Transform images once into a store that training reads directly."),
    Command("backproject_voxel", "Prepare", "Check poses and CTF by reconstructing a map."),
    Command("train_subspace", "Train", "Learn the main differences between particles, in minutes."),
    Command("train_states", "Train", "Find discrete states, with a map and half maps of each."),
    Command("train_vae", "Train", "Learn a latent space of structures from particle images."),
    Command("eval_images", "Train", "Place images in the latent space of a trained model."),
    Command("analyze", "Analyse", "Embeddings, clusters, maps, plots and a report of a trained model."),
    Command("analyze_landscape", "Analyse", "Maps compared: components, a tree, states and their particles."),
    Command("analyze_landscape_full", "Analyse", "Every particle in the landscape of maps, with densities."),
    Command("analyze_convergence", "Analyse", "Has training converged, since when, or gone on for too long?"),
    Command("eval_vol", "Analyse", "Density maps at points of the latent space."),
    Command("reconstruct", "Analyse", "Maps and half maps of the particles near points, or of a selection."),
    Command("filter", "Analyse", "Keep or drop particles by clusters, score, outline or any column."),
    Command("compare_selections", "Analyse", "What selections share: diagram, tables and pictures."),
    Command(
        "graph_traversal", "Analyse", "Shortest paths from particle to particle through their neighbours."
    ),
    Command("direct_traversal", "Analyse", "Straight paths from particle to particle in latent space."),
    Command("occupancy run", "Analyse", "Occupancies of a model's parts in maps: all steps below in one."),
    Command("occupancy maps", "Analyse", "Density maps of the parts of an atomic model."),
    Command("occupancy masks", "Analyse", "Masks about these."),
    Command("occupancy measure", "Analyse", "How much of each part is in each map."),
    Command("occupancy cluster", "Analyse", "Classes of maps and blocks of parts, heat map and scripts."),
    Command("occupancy blocks", "Analyse", "Regions that come and go together, found without a model."),
    Command("pc_traversal", "Analyse", "Paths along principal components of the latent space."),
    Command("make_movies", "Analyse", "Movies of maps along a path or from cluster to cluster."),
    Command("export", "Analyse", "A selection as your own star or .cs file with fewer rows, all else kept."),
    Command("write_starfile", "Analyse", "A new star file from images, CTF and poses."),
    Command("write_star", "Analyse", "write_starfile by its later name."),
    Command("filter_star", "Tools", "Rows of a star file, byte for byte."),
    Command("filter_cs", "Tools", "Particles of a .cs file, with passthrough files and group."),
    Command("write_cs", "Tools", "filter_cs by its older name."),
    Command("filter_mrcs", "Tools", "Images of a stack."),
    Command("filter_pkl", "Tools", "Rows of poses.pkl, ctf.pkl or z.pkl."),
    Command("concat_pkls", "Tools", "Rows of several pickles one after another."),
    Command("select_random", "Tools", "A random selection of particles."),
    Command("select_clusters", "Tools", "The particles of some clusters, as a selection."),
    Command("fsc", "Tools", "Fourier shell correlation of two maps, with or without a mask."),
    Command("plot_fsc", "Tools", "Plot tables of Fourier shell correlation."),
    Command("gen_mask", "Tools", "A soft mask about the density of a map."),
    Command("flip_hand", "Tools", "Mirror a map."),
    Command("invert_contrast", "Tools", "Multiply a map or the images of a stack by -1."),
    Command("add_psize", "Tools", "Change the pixel size in the header of a map or stack."),
    Command("phase_flip", "Tools", "Multiply images by the sign of their CTF."),
    Command("translate_mrcs", "Tools", "Move images by their shifts, so that particles are centred."),
    Command("view_mrcs", "Tools", "A picture of the first images of a stack."),
    Command("view_header", "Tools", "Print the header of a map or stack."),
    Command("clean", "Tools", "Remove files of intermediate epochs from training runs."),
)

FAMILIES = {"occupancy": "How much of each part of an atomic model is there in each map."}
"""Commands in several steps, named ``FAMILY STEP``, and what they are for."""

BY_NAME = {command.name: command for command in COMMANDS}

PLANNED = frozenset(
    {
        "abinit",
        "dashboard",
        "train_dec",
        "train_nn",
    }
)
"""Commands users know from cryoDRGN that are not there yet: told as such, not as misspellings."""
