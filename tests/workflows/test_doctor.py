"""The examination of the machine: honest about what works, and alarmed by what does not."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cryoscape.cli.app import main
from cryoscape.errors import InputError
from cryoscape.particles.memory import GIB, plan_store
from cryoscape.physics.grids import half_plane
from cryoscape.workflows import doctor_checks
from cryoscape.workflows.doctor import (
    Check,
    DoctorReport,
    Gpu,
    advise,
    describe,
    doctor,
    find_problems,
    particles_in_memory,
    particles_on_disk,
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> DoctorReport:
    return doctor(tmp_path_factory.mktemp("here"))


def test_this_machine_is_ready(report: DoctorReport) -> None:
    assert report.ready, report.problems
    assert [check.passed for check in report.checks] == [True, True, True]
    assert 1 <= report.cores <= (os.cpu_count() or 1)
    assert 0 < report.memory_bytes < 2**50
    assert report.versions["torch"] == torch.__version__
    assert "absent" not in report.versions.values()
    assert list(report.folder.iterdir()) == []


def test_the_text_ends_with_the_verdict(report: DoctorReport) -> None:
    lines = describe(report)
    assert lines[-1] == "Ready."
    assert max(map(len, lines)) < 140
    with_gpu = describe(replace(report, gpus=(Gpu("Some GPU", 80 * GIB),)))
    assert "GPU        Some GPU, 80 GiB" in with_gpu
    assert describe(replace(report, problems=("no disk", "no luck")))[-1] == "Not ready: no disk; no luck."


@pytest.mark.parametrize("box", [64, 128, 256])
def test_the_number_in_memory_is_that_of_the_memory_plan(box: int) -> None:
    memory = 3 * GIB
    most = particles_in_memory(box, memory)
    pixels = half_plane(box).n_pixels
    assert plan_store(most, box, pixels, available_bytes=memory).in_memory
    assert not plan_store(most + 1, box, pixels, available_bytes=memory).in_memory
    assert particles_in_memory(box, 1000) == 0
    # half precision on disk: 4 bytes a complex number, half a circle of pi/4 of the square
    assert particles_on_disk(box, memory) == pytest.approx(memory / (4 * box**2 * torch.pi / 8), rel=0.02)


def test_advice_names_numbers_and_the_device() -> None:
    advice = "\n".join(advise(8 * GIB, 100 * GIB, (Gpu("Some GPU", GIB),), True))
    assert "130,000 particles of 128 px, or 32,000 of 256 px" in advice
    assert "GPU (Some GPU), in bf16 in hardware" in advice
    assert "as there is no GPU, in float32" in "\n".join(advise(GIB, GIB, (), False))


def test_what_is_missing_or_fails_is_a_problem() -> None:
    checks = (Check("files", False, 0.1, "they differ"), Check("slices", True, 0.1, "fine"))
    found = find_problems({"numpy": "2.0", "numba": "absent"}, checks, GIB // 4, Path("here"))
    assert found == ("numba is not installed", "files: they differ", "0.2 GiB are free in here: make room")


@pytest.mark.parametrize("damage", [torch.conj, lambda s: 0.9 * s, lambda s: s.roll(1, 0)])
def test_wrong_slices_are_noticed(monkeypatch: pytest.MonkeyPatch, damage: object) -> None:
    right = doctor_checks.extract_slices
    assert callable(damage)
    monkeypatch.setattr(doctor_checks, "extract_slices", lambda *a: damage(right(*a)))
    assert doctor_checks.compiled_slices()[0] is False


def test_a_transform_that_does_not_return_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "inverse_fourier_2d", lambda f: f.real)
    assert doctor_checks.transforms()[0] is False


def test_a_check_that_raises_makes_the_command_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(_: Path) -> tuple[bool, str]:
        raise OSError("disk on fire")

    monkeypatch.setattr("cryoscape.workflows.doctor.files", broken)
    assert main(["doctor", "--folder", str(tmp_path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["ready"] is False
    assert found["problems"] == ["files: OSError: disk on fire"]
    assert [check["passed"] for check in found["checks"]] == [True, True, False]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        doctor(tmp_path / "gone")
