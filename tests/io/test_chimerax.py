import sys
from pathlib import Path
from types import ModuleType

import pytest

from cryoscape.io.chimerax import write_block_script, write_class_script, write_open_script


def test_script_opens_maps_by_relative_names_at_one_level(tmp_path: Path) -> None:
    maps = [tmp_path / "kmeans20" / "vol_000.mrc", tmp_path / "other place" / "vol_001.mrc"]
    script = tmp_path / "kmeans20" / "open_maps.cxc"
    write_open_script(script, maps, 0.0123456789)
    lines = script.read_text().splitlines()
    assert 'open "vol_000.mrc" id 1' in lines
    assert 'open "../other place/vol_001.mrc" id 2' in lines
    volume = [line.split() for line in lines if line.startswith("volume")]
    assert [line[1] for line in volume] == ["#1", "#2"]
    assert [line[line.index("level") + 1] for line in volume] == ["0.0123457"] * 2
    colours = [line[line.index("color") + 1] for line in volume]
    assert len(set(colours)) == 2
    assert "hide #2-2 models" in lines
    assert str(tmp_path) not in script.read_text()


def test_one_map_is_not_hidden(tmp_path: Path) -> None:
    write_open_script(tmp_path / "a.cxc", ["a.mrc"], 1.0)
    assert "hide" not in (tmp_path / "a.cxc").read_text()


def commands_of(script: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run a Python script as ChimeraX would: what it asks to be done."""
    found: list[str] = []
    package = {name: ModuleType(name) for name in ("chimerax", "chimerax.core", "chimerax.core.commands")}
    package["chimerax.core.commands"].run = lambda session, text: found.append(text)  # type: ignore[attr-defined]
    for name, module in package.items():
        monkeypatch.setitem(sys.modules, name, module)
    exec(compile(script.read_text(), str(script), "exec"), {"session": None})
    return found


def test_a_class_is_opened_map_by_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = [tmp_path / "my maps" / f"vol_{i:03d}.mrc" for i in (3, 10)]
    write_class_script(tmp_path / "class0.py", maps)
    assert commands_of(tmp_path / "class0.py", monkeypatch) == [f'open "{path}"' for path in maps]


def test_blocks_colour_the_models_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "blocks.py"
    write_block_script(
        script, ["/x/prots1.pdb", "/x/RNA3.pdb"], {"#440154": ["#1/A", "#2/R:10-60"], "#fde725": []}
    )
    commands = commands_of(script, monkeypatch)
    assert commands[:2] == ['open "/x/prots1.pdb"', 'open "/x/RNA3.pdb"']
    assert "color #1/A #2/R:10-60 #440154" in commands
    assert not any("#fde725" in command for command in commands)
    assert not any(command.startswith("view matrix") for command in commands)


def test_a_fitted_model_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placing = [[1.0, 0.0, 0.0, -9.5], [0.0, 1.0, 0.0, 2.0], [0.0, 0.0, 1.0, 0.25]]
    write_block_script(tmp_path / "blocks.py", ["/x/a.pdb", "/x/b.cif"], {}, placing)
    moves = [c for c in commands_of(tmp_path / "blocks.py", monkeypatch) if c.startswith("view matrix")]
    numbers = "1,0,0,-9.5,0,1,0,2,0,0,1,0.25"
    assert moves == [f"view matrix models #1,{numbers}", f"view matrix models #2,{numbers}"]
