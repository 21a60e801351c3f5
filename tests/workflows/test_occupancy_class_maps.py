"""Pictures of classes: drawn where the maps are at hand, taken away where they are not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryoscape.workflows import occupancy_class_maps
from cryoscape.workflows.occupancy_class_maps import CLASS_MAPS, write_class_maps
from occupancy_files import write_maps

SUMMARY = pd.DataFrame({"class": [0, 1], "maps": [3, 6], "particles": [1200, 7], "central_map": [2, 0]})


def test_the_central_map_of_each_class_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = write_maps(tmp_path / "maps", 3)
    paths = {i: maps / f"vol_{i:03d}.mrc" for i in range(3)}
    drawn: dict[str, object] = {}
    original = occupancy_class_maps.plot_montage

    def note(pictures: list[np.ndarray], names: list[str], captions: list[str], **more: object) -> object:
        drawn.update(pictures=pictures, names=names, captions=captions)
        return original(pictures, names, captions, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(occupancy_class_maps, "plot_montage", note)
    write_class_maps(tmp_path, SUMMARY, paths)
    assert (tmp_path / CLASS_MAPS).read_bytes().startswith(b"\x89PNG")
    assert drawn["names"] == ["0", "1"]
    assert drawn["captions"] == ["3 maps, 1,200 particles", "6 maps, 7 particles"]
    ac, abc = drawn["pictures"]  # type: ignore[misc]
    assert (abc[..., 3] > 0.5).sum() > 1.1 * (ac[..., 3] > 0.5).sum()  # map 0 has chain B too
    write_class_maps(tmp_path, SUMMARY, {0: paths[0]})
    assert not (tmp_path / CLASS_MAPS).exists()
