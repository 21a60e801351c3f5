"""fsc and plot_fsc against sums over shells, and masks that add correlation where there is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from cryoscape.errors import InputError
from cryoscape.workflows.fsc import FscRequest, FscResult, fsc
from cryoscape.workflows.plot_fsc import plot_fsc
from particle_files import write_map

BOX, PIXEL = 24, 2.0


def radius() -> np.ndarray:
    axis = np.arange(BOX) - BOX // 2
    return np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)


def shells(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """By a full transform and a loop over shells."""
    x, y = (np.fft.fftshift(np.fft.fftn(v.astype(np.float64))) for v in (a, b))
    shell = np.round(radius())
    found = []
    for s in range(BOX // 2 + 1):
        p, q = x[shell == s], y[shell == s]
        found.append((p * q.conj()).sum().real / np.sqrt((abs(p) ** 2).sum() * (abs(q) ** 2).sum()))
    return np.array([1.0, *found[1:]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    signal = np.exp(-(radius() ** 2) / 8)
    noise = rng.normal(scale=0.05, size=(2, BOX, BOX, BOX))
    for name, volume in (
        ("a", signal + noise[0]),
        ("b", signal + noise[1]),
        ("na", noise[0]),
        ("nb", noise[1]),
    ):
        write_map(tmp_path / f"{name}.mrc", volume, PIXEL)
    write_map(tmp_path / "mask.mrc", np.clip((7 - radius()) / 3, 0, 1), PIXEL)
    return tmp_path


def compare(folder: Path, a: str = "a", b: str = "b", **more: Any) -> FscResult:
    return fsc(FscRequest(folder / f"{a}.mrc", folder / f"{b}.mrc", **more))


def read(folder: Path, name: str) -> np.ndarray:
    return np.fromfile(folder / name, "<f4", offset=1024).reshape(BOX, BOX, BOX)


def test_the_curve_and_its_resolution(folder: Path) -> None:
    result = compare(folder, table=folder / "fsc.txt")
    expected = shells(read(folder, "a.mrc"), read(folder, "b.mrc"))
    np.testing.assert_allclose(result.curves["fsc"], expected, atol=1e-6)
    below = int(np.flatnonzero(expected < 0.5)[0])
    share = (expected[below - 1] - 0.5) / (expected[below - 1] - expected[below])
    assert result.resolutions[0].at_half == pytest.approx(BOX * PIXEL / (below - 1 + share), rel=1e-4)
    text = (folder / "fsc.txt").read_text()
    assert text == result.table
    assert text.startswith("pixres fsc\n0.000000 1.000000\n")
    np.testing.assert_allclose(
        np.loadtxt(folder / "fsc.txt", skiprows=1)[:, 0], np.arange(13) / BOX, atol=1e-6
    )


def test_a_map_with_itself_stays_at_one(folder: Path) -> None:
    result = compare(folder, b="a")
    np.testing.assert_allclose(result.curves["fsc"], 1, atol=1e-6)
    assert (result.resolutions[0].at_half, result.resolutions[0].at_0143) == (None, None)


def test_what_a_mask_adds_is_taken_off(folder: Path) -> None:
    """The same mask on two noises makes them alike at low frequency; the corrected curve knows better."""
    noise = read(folder, "na.mrc") + 0.2, read(folder, "nb.mrc") + 0.2
    for name, volume in zip(("na", "nb"), noise, strict=True):
        write_map(folder / f"{name}.mrc", volume, PIXEL)
    mask = folder / "mask.mrc"
    masked = compare(folder, "na", "nb", mask=mask).curves
    np.testing.assert_allclose(masked["fsc"], masked["Masked"])
    weight = read(folder, "mask.mrc")
    np.testing.assert_allclose(masked["Masked"], shells(noise[0] * weight, noise[1] * weight), atol=1e-5)
    corrected = compare(folder, "na", "nb", mask=mask, corrected=True, randomise_from=BOX * PIXEL).curves
    np.testing.assert_allclose(corrected["fsc"], corrected["Corrected"])
    assert masked["Masked"][3] > 0.3
    assert abs(corrected["fsc"][3:]).mean() < abs(masked["fsc"][3:]).mean()


def test_five_curves_about_a_reference(folder: Path) -> None:
    curves = compare(folder, reference=folder / "a.mrc", plot=folder / "five.png").curves
    assert list(curves) == ["NoMask", "Spherical", "Loose", "Tight", "Corrected"]
    np.testing.assert_allclose(curves["NoMask"], compare(folder).curves["fsc"])
    assert imread(folder / "five.png").shape[1] > 500


def test_tables_are_drawn_as_this_and_other_programs_write_them(folder: Path) -> None:
    compare(folder, table=folder / "fsc.txt")
    compare(folder, mask=folder / "mask.mrc", table=folder / "masked.txt")
    theirs = "pixres fsc\n" + "".join(f"{i / 64:.6f} {np.exp(-i / 8):.6f}\n" for i in range(32))
    (folder / "other.txt").write_text(theirs)
    found = plot_fsc([folder / "fsc.txt", folder / "other.txt"], folder / "two.png", PIXEL)
    assert [one.curve for one in found] == ["fsc", "other"]
    assert found[1].at_half == pytest.approx(64 * PIXEL / (8 * np.log(2)), rel=0.01)
    alone = plot_fsc([folder / "masked.txt"], folder / "one.png", PIXEL)
    assert [one.curve for one in alone] == ["fsc", "NoMask", "Masked", "Corrected"]
    assert imread(folder / "two.png").shape == imread(folder / "one.png").shape


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"corrected": True}, "give --mask or --ref-volume"),
        ({"mask": Path("a.mrc")}, "expected a mask"),
        ({"b": "small"}, "has 24 x 24 x 24"),
        ({"b": "other"}, "--Apix"),
        (
            {"mask": Path("mask.mrc"), "corrected": True, "randomise_from": 1.0},
            "expected a resolution from 4",
        ),
        ({"table": Path("x.txt"), "plot": Path("x.txt")}, "give two names"),
    ],
)
def test_what_cannot_be_compared(
    folder: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(folder)
    write_map(folder / "small.mrc", read(folder, "a.mrc")[:16, :16, :16], PIXEL)
    write_map(folder / "other.mrc", read(folder, "a.mrc"), 3.0)
    with pytest.raises(InputError, match=words):
        compare(folder, **more)
    assert not list(folder.glob("x.*"))


def test_a_text_that_is_no_table(folder: Path) -> None:
    (folder / "no.txt").write_text("resolution fsc\n1 2\n3 4\n5 6\n")
    with pytest.raises(InputError, match="not an FSC table"):
        plot_fsc([folder / "no.txt"], folder / "plot.png")
