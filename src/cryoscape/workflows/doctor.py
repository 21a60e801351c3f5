"""Look at this machine: what is installed, what there is to compute with, and what will work."""

import logging
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from cryoscape import __version__
from cryoscape.engines.vae.results import machine_has_bfloat16
from cryoscape.errors import InputError
from cryoscape.particles.memory import GIB, HEADROOM, available_memory_bytes, plan_store
from cryoscape.particles.threads import usable_cores
from cryoscape.physics.grids import half_plane
from cryoscape.workflows.doctor_checks import compiled_slices, files, transforms

logger = logging.getLogger("cryoscape")

PACKAGES = (
    *("numpy", "scipy", "torch", "numba", "pandas", "pyarrow", "mrcfile", "starfile", "gemmi"),
    *("scikit-learn", "scikit-image", "umap-learn", "matplotlib", "cyclopts", "rich", "PyYAML", "jaxtyping"),
)
OPTIONAL_TOOLS = {"ChimeraX": ("chimerax", "ChimeraX"), "RELION": ("relion_refine",)}
"""Programs users may want beside this one; nothing here calls them."""

_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile")
_LEAST_DISK_BYTES = GIB
_BOXES = (128, 256)


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name and its memory in all."""

    name: str
    memory_bytes: int


@dataclass(frozen=True)
class Check:
    """One test with a known answer: whether it came out, how long it took, and what was compared."""

    name: str
    passed: bool
    seconds: float
    detail: str


@dataclass(frozen=True)
class DoctorReport:
    """What `doctor` found.

    Attributes
    ----------
    versions : of cryoscape, Python and the packages it needs; "absent" for those that are missing.
    instruction_sets : of those that matter for speed, the ones this processor says it has.
    memory_bytes, disk_bytes : what this process may still take (batch systems' limits included), and what
        is free for files in ``folder``.
    advice : what will work, in sentences.
    problems : what keeps the program from working; none means it is ready.
    """

    versions: dict[str, str]
    system: str
    processor: str
    cores: int
    instruction_sets: tuple[str, ...]
    bfloat16: bool
    memory_bytes: int
    folder: Path
    disk_bytes: int
    gpus: tuple[Gpu, ...]
    optional_tools: dict[str, bool]
    checks: tuple[Check, ...]
    advice: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing is in the way."""
        return not self.problems


def doctor(folder: Path = Path(".")) -> DoctorReport:
    """Examine this machine, with ``folder`` as the place for files.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the one you mean to work in")
    versions = {"cryoscape": __version__, "Python": platform.python_version()}
    versions |= {name: _version(name) for name in PACKAGES}
    checks = (
        _timed("Fourier transforms", transforms),
        _timed("compiled slices", compiled_slices),
        _timed("files", lambda: files(folder)),
    )
    gpus = find_gpus()
    bfloat16 = machine_has_bfloat16(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    memory, disk = available_memory_bytes(), shutil.disk_usage(folder).free
    return DoctorReport(
        versions=versions,
        system=platform.platform(terse=True),
        processor=_processor(),
        cores=usable_cores(),
        instruction_sets=_instruction_sets(),
        bfloat16=bfloat16,
        memory_bytes=memory,
        folder=folder.resolve(),
        disk_bytes=disk,
        gpus=gpus,
        optional_tools={tool: any(map(shutil.which, names)) for tool, names in OPTIONAL_TOOLS.items()},
        checks=checks,
        advice=advise(memory, disk, gpus, bfloat16),
        problems=find_problems(versions, checks, disk, folder),
    )


def find_problems(
    versions: dict[str, str], checks: tuple[Check, ...], disk_bytes: int, folder: Path
) -> tuple[str, ...]:
    """What keeps the program from working, one sentence each."""
    found = [f"{name} is not installed" for name, number in versions.items() if number == "absent"]
    found += [f"{check.name}: {check.detail}" for check in checks if not check.passed]
    if disk_bytes < _LEAST_DISK_BYTES:
        found.append(f"{disk_bytes / GIB:.1f} GiB are free in {folder}: make room")
    return tuple(found)


def advise(memory_bytes: int, disk_bytes: int, gpus: tuple[Gpu, ...], bfloat16: bool) -> tuple[str, ...]:
    """What will work with so much memory and disk, and on what training runs."""
    in_memory = _counts(lambda box: particles_in_memory(box, memory_bytes))
    on_disk = _counts(lambda box: particles_on_disk(box, disk_bytes))
    where = f"GPU ({gpus[0].name})" if gpus else "the processor, as there is no GPU"
    precision = "bf16 in hardware" if bfloat16 else "float32, as bf16 is not in hardware"
    return (
        f"train_vae in memory: up to {in_memory}",
        f"beyond that, or with --lazy, from disk: up to {on_disk}",
        f"training runs on {where}, in {precision}",
        "downsample, preprocess and backproject_voxel stream: any number of particles",
    )


def _counts(count: Callable[[int], int]) -> str:
    first, second = (f"{_rounded(count(box)):,}" for box in _BOXES)
    return f"{first} particles of {_BOXES[0]} px, or {second} of {_BOXES[1]} px"


def particles_in_memory(box_size: int, memory_bytes: int) -> int:
    """How many particles the memory plan of train_vae keeps in memory, at most."""
    one = plan_store(1, box_size, half_plane(box_size).n_pixels, available_bytes=memory_bytes)
    return max(0, (int(memory_bytes * HEADROOM) - one.working_bytes) // one.store_bytes)


def particles_on_disk(box_size: int, disk_bytes: int) -> int:
    """How many particles fit in a store of half precision on disk."""
    one = plan_store(1, box_size, half_plane(box_size).n_pixels, bytes_per_value=2, available_bytes=0)
    return disk_bytes // one.store_bytes


def find_gpus() -> tuple[Gpu, ...]:
    """GPUs that PyTorch can use."""
    if torch.cuda.is_available():
        found = (torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count()))
        return tuple(Gpu(gpu.name, int(gpu.total_memory)) for gpu in found)
    if torch.backends.mps.is_available():
        return (Gpu("Apple Metal", int(torch.mps.recommended_max_memory())),)
    return ()


def describe(report: DoctorReport) -> list[str]:
    """The report as lines of text, the verdict last."""
    versions = [f"{name} {number}" for name, number in report.versions.items()]
    gpus = [f"{gpu.name}, {gpu.memory_bytes / GIB:.0f} GiB" for gpu in report.gpus]
    tools = [f"{name} {'found' if there else 'not found'}" for name, there in report.optional_tools.items()]
    facts = {
        "versions": ", ".join(versions[:6]),
        "": ", ".join(versions[6:13]),
        " ": ", ".join(versions[13:]),
        "system": report.system,
        "processor": f"{report.processor}, {report.cores} cores allowed"
        f" ({' '.join(report.instruction_sets) or 'instruction sets not known'})",
        "memory": f"{report.memory_bytes / GIB:.1f} GiB available",
        "disk": f"{report.disk_bytes / GIB:.1f} GiB free in {report.folder}",
        "GPU": "; ".join(gpus) or "none",
        "optional": f"{', '.join(tools)} (nothing here needs them)",
    }
    lines = [f"{name:<10} {fact}" for name, fact in facts.items()]
    lines += ["", "Tests"]
    for check in report.checks:
        verdict = "passed" if check.passed else "FAILED"
        lines.append(f"  {check.name:<19} {verdict} in {check.seconds:.2f} s: {check.detail}")
    lines += ["", "What will work", *(f"  {sentence}" for sentence in report.advice), ""]
    if report.ready:
        return [*lines, "Ready."]
    return [*lines, f"Not ready: {'; '.join(report.problems)}."]


def _timed(name: str, test: Callable[[], tuple[bool, str]]) -> Check:
    start = time.perf_counter()
    try:
        passed, detail = test()
    except Exception as error:  # whatever it is, the report says so
        logger.debug("%s", name, exc_info=True)
        passed, detail = False, f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Check(name, passed, time.perf_counter() - start, detail)


def _rounded(n: int) -> int:
    """To two digits, downwards: more would promise too much."""
    unit = 10 ** max(0, len(str(n)) - 2)
    return n // unit * unit


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _cpuinfo(key: str) -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.partition("\t")[0] == key), None)


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _instruction_sets() -> tuple[str, ...]:
    present = set((_cpuinfo("flags") or "").split())
    return tuple(flag for flag in _FLAGS if flag in present)
