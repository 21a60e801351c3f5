from pathlib import Path

import pytest

from cryoscape.particles import memory
from cryoscape.particles.memory import GIB, available_memory_bytes, plan_store, working_batch


def write_v2(root: Path, folder: str, limit: str, use: int, inactive: int = 0) -> None:
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "memory.max").write_text(limit + "\n")
    (place / "memory.current").write_text(f"{use}\n")
    (place / "memory.stat").write_text(f"anon 5\ninactive_file {inactive}\n")


def test_cgroup_v2_takes_the_tightest_limit_up_the_tree(tmp_path: Path) -> None:
    process = tmp_path / "cgroup"
    process.write_text("0::/slurm/job\n")
    write_v2(tmp_path, "slurm/job", "max", 0)
    write_v2(tmp_path, "slurm", str(8 * GIB), 3 * GIB, inactive=GIB)
    assert memory._cgroup_headroom(tmp_path, process) == 6 * GIB


def test_cgroup_v1_limit_is_read(tmp_path: Path) -> None:
    process = tmp_path / "cgroup"
    process.write_text("12:memory:/job\n11:cpu:/job\n")
    folder = tmp_path / "memory" / "job"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("1000\n")
    (folder / "memory.usage_in_bytes").write_text("400\n")
    assert memory._cgroup_headroom(tmp_path, process) == 600


def test_without_cgroups_there_is_no_limit(tmp_path: Path) -> None:
    assert memory._cgroup_headroom(tmp_path, tmp_path / "absent") == memory._NO_LIMIT


def test_available_is_the_smaller_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_ram_available", lambda: 10 * GIB)
    monkeypatch.setattr(memory, "_cgroup_headroom", lambda: 4 * GIB)
    assert available_memory_bytes() == 4 * GIB
    monkeypatch.undo()
    assert available_memory_bytes() > 0


def test_plan_counts_bytes_and_decides() -> None:
    plan = plan_store(20_000, 64, 1604, bytes_per_value=4, available_bytes=4 * GIB)
    assert plan.store_bytes == 20_000 * 1604 * 8
    assert plan.source_bytes == 20_000 * 64 * 64 * 4
    assert plan.in_memory
    assert "in memory" in plan.describe()
    tight = plan_store(20_000, 64, 1604, bytes_per_value=4, available_bytes=GIB // 4)
    assert not tight.in_memory
    assert not tight.cache_ctf
    assert "memory-mapped on disk" in tight.describe()
    assert "\n" not in tight.describe()
    half = plan_store(20_000, 64, 1604, bytes_per_value=2, available_bytes=GIB // 4)
    assert half.store_bytes * 2 == tight.store_bytes


def test_working_batch_bounds_memory() -> None:
    assert working_batch(128) == 256
    assert working_batch(100_000) == 1
    assert working_batch(2) == 4096
