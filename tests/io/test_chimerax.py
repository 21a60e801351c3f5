from pathlib import Path

from cryoscape.io.chimerax import write_open_script


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
