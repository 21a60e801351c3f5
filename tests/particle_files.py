"""Small particle files for tests, written by independent libraries or by hand."""

import pickle
import warnings
from pathlib import Path

import mrcfile
import numpy as np
from scipy.spatial.transform import Rotation


def noise_images(n: int, box: int, seed: int = 0) -> np.ndarray:
    """White noise (n, box, box) float32."""
    return np.random.default_rng(seed).standard_normal((n, box, box)).astype(np.float32)


def write_stack(path: Path, images: np.ndarray, pixel_size: float = 0.0) -> Path:
    """An MRC image stack written by mrcfile."""
    with warnings.catch_warnings(), mrcfile.new(path, overwrite=True) as mrc:
        warnings.simplefilter("ignore", RuntimeWarning)  # of NaN, which some tests mean
        mrc.set_data(images)
        mrc.set_image_stack()
        mrc.voxel_size = pixel_size
    return path


def write_map(path: Path, volume: np.ndarray, pixel_size: float = 1.5) -> Path:
    """An MRC volume written by mrcfile."""
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(volume.astype(np.float32))
        mrc.set_volume()
        mrc.voxel_size = pixel_size
    return path


def random_rotations(n: int, seed: int = 0) -> np.ndarray:
    """(n, 3, 3) float64."""
    return Rotation.random(n, random_state=seed).as_matrix()


def write_pickle(path: Path, value: object) -> Path:
    """Any value, as other programs pickle it."""
    path.write_bytes(pickle.dumps(value))
    return path


def write_poses_pickle(path: Path, rotation: np.ndarray, shift: np.ndarray | None = None) -> Path:
    """poses.pkl; shifts default to zero."""
    shift = np.zeros((len(rotation), 2)) if shift is None else shift
    return write_pickle(path, (rotation, shift))


def legacy_ctf(n: int, box: int = 64, pixel_size: float = 1.5, seed: int = 0) -> np.ndarray:
    """(n, 9) float32 of ctf.pkl with varied defocus."""
    rng = np.random.default_rng(seed)
    table = np.empty((n, 9), dtype=np.float32)
    table[:] = (box, pixel_size, 0, 0, 0, 300, 2.7, 0.1, 0)
    table[:, 2] = rng.uniform(10000, 20000, n)
    table[:, 3] = table[:, 2] - rng.uniform(0, 500, n)
    table[:, 4] = rng.uniform(-90, 90, n)
    return table


STAR_30_COLUMNS = (
    "rlnImageName",
    "rlnDefocusU",
    "rlnDefocusV",
    "rlnDefocusAngle",
    "rlnVoltage",
    "rlnSphericalAberration",
    "rlnAmplitudeContrast",
    "rlnPhaseShift",
    "rlnMagnification",
    "rlnDetectorPixelSize",
    "rlnAngleRot",
    "rlnAngleTilt",
    "rlnAnglePsi",
    "rlnOriginX",
    "rlnOriginY",
)


def star_block(name: str, columns: list[str], rows: list[list[object]]) -> str:
    """One looped block of a star file."""
    head = [f"data_{name}", "", "loop_", *(f"_{column} #{i}" for i, column in enumerate(columns, 1))]
    return "\n".join([*head, *(" ".join(map(str, row)) for row in rows), "", ""])


def relion30_rows(n: int, stack: str, seed: int = 0, pixel_size: float = 1.5) -> list[dict[str, object]]:
    """Rows of a RELION 3.0 refinement with varied values."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for i in range(n):
        defocus = float(np.round(rng.uniform(10000, 20000), 1))
        values: list[object] = [
            f"{i + 1:06d}@{stack}",
            defocus,
            defocus - 300,
            round(rng.uniform(-90, 90), 2),
        ]
        values += [300, 2.7, 0.1, 0.0, 10000, pixel_size]
        values += [
            round(rng.uniform(-180, 180), 3),
            round(rng.uniform(0, 180), 3),
            round(rng.uniform(-180, 180), 3),
        ]
        values += [round(rng.uniform(-4, 4), 3), round(rng.uniform(-4, 4), 3)]
        rows.append(dict(zip(STAR_30_COLUMNS, values, strict=True)))
    return rows


def write_star30(path: Path, rows: list[dict[str, object]], without: tuple[str, ...] = ()) -> Path:
    """RELION 3.0: one table."""
    columns = [column for column in rows[0] if column not in without]
    path.write_text(star_block("", columns, [[row[column] for column in columns] for row in rows]))
    return path


def write_star31(
    path: Path, rows: list[dict[str, object]], box: int, pixel_size: float = 1.5, group: str = "1"
) -> Path:
    """RELION 3.1: the same particles with an optics table and origins in angstrom."""
    optics_columns = ["rlnOpticsGroup", "rlnOpticsGroupName", "rlnVoltage", "rlnSphericalAberration"]
    optics_columns += ["rlnAmplitudeContrast", "rlnImagePixelSize", "rlnImageSize"]
    optics = star_block("optics", optics_columns, [[group, "og", 300, 2.7, 0.1, pixel_size, box]])
    columns = ["rlnImageName", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift"]
    columns += ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
    body = []
    for row in rows:
        x, y = (float(str(row[name])) * pixel_size for name in ("rlnOriginX", "rlnOriginY"))
        body.append([*(row[column] for column in columns), f"{x:.6f}", f"{y:.6f}", group])
    names = [*columns, "rlnOriginXAngst", "rlnOriginYAngst", "rlnOpticsGroup"]
    path.write_text(optics + star_block("particles", names, body))
    return path


def cryosparc_table(n: int, stack: str, box: int = 64, pixel_size: float = 1.5, seed: int = 0) -> np.ndarray:
    """A cryoSPARC refinement's particles with blob, ctf and alignments3D fields."""
    rng = np.random.default_rng(seed)
    fields: list[tuple[object, ...]] = [
        ("uid", "<u8"), ("blob/path", "S64"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)),
        ("blob/psize_A", "<f4"), ("blob/sign", "<f4"), ("ctf/accel_kv", "<f4"), ("ctf/cs_mm", "<f4"),
        ("ctf/amp_contrast", "<f4"), ("ctf/df1_A", "<f4"), ("ctf/df2_A", "<f4"), ("ctf/df_angle_rad", "<f4"),
        ("ctf/phase_shift_rad", "<f4"), ("alignments3D/pose", "<f4", (3,)),
        ("alignments3D/shift", "<f4", (2,)), ("alignments3D/psize_A", "<f4"),
    ]  # fmt: skip
    table = np.zeros(n, dtype=fields)
    table["uid"] = rng.permutation(10**6)[:n] + 10**15
    table["blob/path"], table["blob/idx"] = stack.encode(), np.arange(n)
    table["blob/shape"], table["blob/psize_A"], table["blob/sign"] = box, pixel_size, -1
    table["ctf/accel_kv"], table["ctf/cs_mm"], table["ctf/amp_contrast"] = 300, 2.7, 0.1
    table["ctf/df1_A"] = rng.uniform(10000, 20000, n)
    table["ctf/df2_A"] = table["ctf/df1_A"] - 300
    table["ctf/df_angle_rad"] = rng.uniform(-1.5, 1.5, n)
    table["alignments3D/pose"] = Rotation.random(n, random_state=seed).as_rotvec()
    table["alignments3D/shift"] = rng.uniform(-4, 4, (n, 2))
    table["alignments3D/psize_A"] = pixel_size
    return table


def write_cs(path: Path, table: np.ndarray) -> Path:
    """A .cs file."""
    with path.open("wb") as handle:
        np.save(handle, table)
    return path


def without_fields(table: np.ndarray, *names: str) -> np.ndarray:
    """The table less some fields (packed)."""
    from numpy.lib.recfunctions import repack_fields

    return repack_fields(table[[name for name in table.dtype.names or () if name not in names]])
