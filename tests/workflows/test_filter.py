"""Filtering a run: the right rows, however often, and files that say how they came about."""

import json
import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoscape.engines.latent_table import LatentTable, write_latents
from cryoscape.engines.run_folder import ROWS_FILE
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import read_rows, write_array_pickle
from cryoscape.particles.readers import load_particles
from cryoscape.particles.selection import read_selection
from cryoscape.particles.stack import ImageStack
from cryoscape.workflows.filter import FilterOptions, filter_run
from cryoscape.workflows.filter_columns import RunColumns
from cryoscape.workflows.filter_criteria import Criteria
from cryoscape.workflows.filter_pictures import Pictures
from folders import listing
from particle_files import legacy_ctf, random_rotations, write_pickle, write_poses_pickle, write_stack

N, BOX = 40, 16
NO_PICTURES = FilterOptions("keep", pictures=None)


def write_config(run: Path, **dataset_args: object) -> None:
    config = {"dataset_args": dataset_args, "lattice_args": {"D": BOX + 1}, "model_args": {"zdim": 3}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))


def write_run(run: Path, z: np.ndarray, rows: np.ndarray | None, **dataset_args: object) -> Path:
    """What filter reads of a run of an engine with epochs; without rows, as cryoDRGN leaves it."""
    run.mkdir(parents=True)
    write_array_pickle(run / "z.4.pkl", z.astype(np.float32), np.full(z.shape, -2.0, np.float32))
    (run / "weights.4.pkl").write_bytes(b"never read here")
    write_config(run, **dataset_args)
    if rows is not None:
        np.save(run / ROWS_FILE, rows)
    return run


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A stack whose images tell their numbers by their means, with poses and CTF."""
    noise = np.random.default_rng(0).normal(size=(N, BOX, BOX)).astype(np.float32)
    noise += np.arange(N, dtype=np.float32)[:, None, None] - noise.mean(axis=(1, 2), keepdims=True)
    write_stack(tmp_path / "s.mrcs", noise, 1.5)
    write_poses_pickle(tmp_path / "poses.pkl", random_rotations(N), np.full((N, 2), 0.05))
    write_pickle(tmp_path / "ctf.pkl", legacy_ctf(N, BOX))
    return tmp_path


@pytest.fixture
def run(images: Path) -> Path:
    """A run on the even rows, with a junk score that parts them in two, and files beside it."""
    rng = np.random.default_rng(1)
    rows = np.arange(0, N, 2)
    junk = np.arange(len(rows)) % 4 == 0
    mean = rng.normal(size=(len(rows), 3)).astype(np.float32) + np.where(junk, 0, 6)[:, None].astype(
        np.float32
    )
    score = np.where(junk, 4.0, 0.0) + 0.3 * rng.normal(size=len(rows))
    folder = images / "run"
    folder.mkdir()
    table = LatentTable(
        mean=mean,
        covariance=None,
        log_likelihood=rng.normal(size=len(rows)).astype(np.float32),
        contrast=np.where(junk, 0.1, 1.0).astype(np.float32),
        junk_score=score.astype(np.float32),
    )
    write_latents(folder, table, rows)
    (folder / "weights.pkl").write_bytes(b"never read here")
    np.save(folder / ROWS_FILE, rows)
    files = {"particles": "s.mrcs", "poses": "poses.pkl", "ctf": "ctf.pkl", "ind": None}
    write_config(folder, **{key: value and str(images / value) for key, value in files.items()})
    return folder


JUNK_ROWS = list(range(0, N, 8))
GOOD_ROWS = sorted(set(range(0, N, 2)) - set(JUNK_ROWS))


def test_both_parts_are_written_under_the_names_of_the_protocol(run: Path) -> None:
    criteria = Criteria(where="junk_score > 2")
    found = filter_run(run, criteria=criteria, options=replace(NO_PICTURES, fate="drop", note="by hand"))
    assert read_rows(run / "ind_keep.15_particles.pkl").tolist() == GOOD_ROWS
    assert read_rows(run / "ind_bad.5_particles.pkl").tolist() == JUNK_ROWS
    assert found.kept is not None
    assert found.n_selected == 5
    record = json.loads((run / "ind_bad.5_particles.json").read_text())
    assert record["n_original"] == N
    told = record["provenance"]
    assert (told["holds"], told["fate_of_selected"], told["note"]) == ("dropped", "drop", "by hand")
    assert told["selected"]["criteria"] == [
        {
            "by": "where",
            "where": "junk_score > 2",
            "columns": ["junk_score"],
            "without_value": 0,
            "n_selected": 5,
        }
    ]
    assert read_selection(run / "ind_keep.15_particles.pkl").provenance["holds"] == "kept"


def test_without_a_fate_nothing_is_written(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = listing(run)
    with caplog.at_level(logging.INFO):
        found = filter_run(run, criteria=Criteria(where="contrast < 0.5"))
    assert (found.n_selected, found.kept, found.files) == (5, None, ())
    assert "Selected: 5 of 20 particles (25.0 %)" in caplog.text
    assert "--keep" in caplog.text
    assert listing(run) == before


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        (Criteria(suggest=True), JUNK_ROWS),
        (Criteria(gmm=2, suggest=True), JUNK_ROWS),
        (Criteria(kmeans=2, suggest=True), JUNK_ROWS),
        (Criteria(where="junk_score > 2", zscore=-0.5), JUNK_ROWS),
        (Criteria(where="original_row == 2", zscore=-0.5, any_of=True), sorted([2, *JUNK_ROWS])),
        (Criteria(polygon="-4,-4 3,-4 3,3 -4,3", plane=("z0", "z1")), JUNK_ROWS),
        (Criteria(where="defocus_angstrom > 0 and voltage_kv == 300 and row < 2"), [0, 2]),
        (Criteria(where="shift_x_angstrom > 1.19 and shift_x_angstrom < 1.21 and row == 1"), [2]),
    ],
)
def test_criteria_select_the_rows_they_describe(run: Path, criteria: Criteria, expected: list[int]) -> None:
    found = filter_run(run, criteria=criteria, options=NO_PICTURES)
    assert found.kept is not None
    assert found.kept.rows.tolist() == expected


def test_earlier_selections_are_joined_in_order(run: Path, images: Path) -> None:
    write_pickle(images / "mask.pkl", np.arange(N) < 12)
    write_pickle(images / "more.pkl", np.array([38, 39]))
    write_pickle(images / "less.pkl", np.array([4]))
    combine = (("and", images / "mask.pkl"), ("or", images / "more.pkl"), ("minus", images / "less.pkl"))
    options = replace(NO_PICTURES, combine=combine)
    found = filter_run(run, criteria=Criteria(where="junk_score < 2"), options=options)
    assert found.kept is not None
    assert found.kept.rows.tolist() == [2, 6, 10, 38]  # 39 is no particle of this run
    alone = filter_run(run, options=replace(options, combine=combine[2:]), output=run / "b")
    assert alone.kept is not None
    assert alone.kept.rows.tolist() == [row for row in range(0, N, 2) if row != 4]


def test_tables_of_the_user_are_matched_by_row(run: Path, images: Path) -> None:
    rows = np.random.default_rng(0).permutation(N)[: N - 3]
    table = pd.DataFrame({"original_row": rows, "H68": rows / N, "CP": 1 - rows / N})
    table.to_csv(images / "occupancy.csv", index=False)
    criteria = Criteria(where="H68 > 0.5 and CP < 0.3")
    found = filter_run(run, criteria=criteria, options=NO_PICTURES, tables=[images / "occupancy.csv"])
    assert found.kept is not None
    expected = [row for row in range(0, N, 2) if row in rows and row / N > 0.5 and 1 - row / N < 0.3]
    assert found.kept.rows.tolist() == expected
    plain = pd.DataFrame({"value": np.arange(20.0)})  # in the order of the run
    plain.to_parquet(images / "plain.parquet")
    found = filter_run(
        run,
        criteria=Criteria(where="value >= 18"),
        options=NO_PICTURES,
        tables=[images / "plain.parquet"],
    )
    assert found.kept is not None
    assert found.kept.rows.tolist() == [36, 38]


def test_losses_of_eval_images_are_columns(run: Path, images: Path) -> None:
    rows = np.arange(N)[::-1]
    losses = {
        "loss": 1.0,
        "particle_row": rows,
        "particle_loss": np.where(rows % 8 == 2, 9.0, 1.0) + rows / N,
    }
    write_pickle(images / "losses.pkl", losses)
    found = filter_run(
        run,
        criteria=Criteria(suggest=True, score="particle_loss"),
        options=NO_PICTURES,
        tables=[images / "losses.pkl"],
    )
    assert found.kept is not None
    assert found.kept.rows.tolist() == list(range(2, N, 8))
    record = found.kept.provenance["selected"]["criteria"][0]
    assert (record["by"], record["score"]) == ("suggest", "particle_loss")
    assert 2 < record["threshold"] < 9


def test_clusters_and_umap_are_those_of_the_analysis(run: Path) -> None:
    analysis = run / "analyze"
    (analysis / "kmeans3").mkdir(parents=True)
    write_array_pickle(analysis / "kmeans3" / "labels.pkl", np.arange(20) % 3)
    z = pd.read_parquet(run / "latents.parquet")
    table = z[["z0", "z1", "z2"]].assign(original_row=z["row"], umap1=np.arange(20.0), umap2=0.0)
    table.to_parquet(analysis / "particles.parquet")
    for criteria, expected in (
        (Criteria(kmeans=3, clusters=(1, 2)), [row for row in range(0, N, 2) if row // 2 % 3]),
        (Criteria(where="kmeans3 == 0"), list(range(0, N, 6))),
        (Criteria(where="UMAP1 > 16"), [34, 36, 38]),
        (Criteria(polygon="-1,-1 1.5,-1 1.5,1 -1,1"), [0, 2]),
    ):
        found = filter_run(run, criteria=criteria, options=NO_PICTURES)
        assert found.kept is not None
        assert found.kept.rows.tolist() == expected
    table.assign(z0=0.0).to_parquet(analysis / "particles.parquet")  # of other latents
    with pytest.raises(InputError, match="has no UMAP; run analyze first"):
        filter_run(run, criteria=Criteria(where="umap1 > 16"))


def test_pictures_show_the_images_of_both_parts(run: Path) -> None:
    options = FilterOptions("drop", pictures=Pictures(n_images=3))
    found = filter_run(run, criteria=Criteria(where="junk_score > 2"), options=options)
    names = {path.name for path in found.files}
    assert {"ind_keep.15_particles.landscape.png", "ind_keep.15_particles.images.png"} <= names
    for path in found.files:
        assert path.is_file()


def test_a_run_whose_images_are_gone_is_filtered_all_the_same(run: Path) -> None:
    write_config(run, particles="/gone/elsewhere.mrcs")
    found = filter_run(run, criteria=Criteria(where="junk_score > 2"), options=FilterOptions("drop"))
    assert found.kept is not None
    assert found.kept.n_original is None
    assert {path.suffix for path in found.files} == {".pkl", ".json", ".png"}


def test_asking_whether_a_column_is_there_reads_none(run: Path) -> None:
    columns = RunColumns(run)
    columns._makers["broken"] = lambda: pytest.fail("read")
    assert "broken" in columns
    assert "z0" in columns
    assert "no_such_column" not in columns


def test_files_with_other_rows_are_kept_unless_forced(run: Path) -> None:
    options = replace(NO_PICTURES, fate="drop")
    filter_run(run, criteria=Criteria(where="junk_score > 2"), options=options)
    filter_run(run, criteria=Criteria(where="contrast < 0.5"), options=options)  # the same rows
    before = listing(run)
    with pytest.raises(InputError, match="exists and holds other particles"):
        filter_run(run, criteria=Criteria(where="row < 5"), options=options)
    assert listing(run) == before
    filter_run(run, criteria=Criteria(where="row < 5"), options=options, force=True)
    assert read_rows(run / "ind_bad.5_particles.pkl").tolist() == [0, 2, 4, 6, 8]


def test_a_selection_that_leaves_nothing_is_refused(run: Path) -> None:
    before = listing(run)
    with pytest.raises(InputError, match="nothing would be kept of 20 particles"):
        filter_run(run, criteria=Criteria(where="z0 < 100"), options=replace(NO_PICTURES, fate="drop"))
    assert listing(run) == before


KEEP = st.tuples(
    st.sampled_from(["keep", "drop"]), st.floats(-1.2, 1.2), st.booleans(), st.sampled_from(["rows", "ind"])
)


@settings(max_examples=25, deadline=None)
@given(rounds=st.lists(KEEP, min_size=3, max_size=3), seed=st.integers(0, 99))
def test_three_rounds_of_filtering_end_in_the_right_rows(
    rounds: list[tuple[str, float, bool, str]], seed: int
) -> None:
    """Train, filter, train on what was kept...; each run knows its rows, or only the selection it was given.

    What should be left is tracked with a set of Python, by a value that belongs to each original row.
    """
    rng = np.random.default_rng(seed)
    value = rng.normal(size=(N, 3))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = np.arange(N, dtype=np.float32)[:, None, None] + rng.normal(size=(N, BOX, BOX)) * 0.01
        stack = write_stack(folder / "s.mrcs", pictures.astype(np.float32))
        ind: Path | None = None
        left = set(range(N))
        for number, (fate, threshold, as_mask, kind) in enumerate(rounds):
            particles = load_particles(stack, ind=ind)  # as training reads them
            run = folder / f"run{number}"
            known = None if kind == "ind" or ind is None else particles.row
            given_ind = None if ind is None else str(ind)
            write_run(run, value[particles.row], known, particles=str(stack), ind=given_ind)
            over = {row for row in left if np.float32(value[row, number]) > threshold}
            expected = over if fate == "keep" else left - over
            options = replace(NO_PICTURES, fate=fate)
            criteria = Criteria(where=f"z{number} > {threshold!r}")
            if len(expected) < 2:  # a run of one particle cannot be analysed
                return
            found = filter_run(run, 4, criteria, options)
            assert found.kept is not None
            assert found.dropped is not None
            assert set(found.kept.rows.tolist()) == expected
            assert set(found.dropped.rows.tolist()) == left - expected
            assert found.kept.n_original == N
            ind, left = run / f"ind_keep.{len(expected)}_particles.pkl", expected
            if as_mask:
                ind = write_pickle(folder / f"mask{number}.pkl", np.isin(np.arange(N), list(left)))
        last = ImageStack.from_particles(load_particles(stack, ind=ind)).read(slice(None))
        assert set(np.round(last.mean(axis=(1, 2))).astype(int).tolist()) == left
