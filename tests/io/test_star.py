from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import starfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryoscape.errors import InputError
from cryoscape.io.star import StarFile, read_star, write_star
from particle_files import relion30_rows, star_block, write_star30, write_star31


def read_text(folder: Path, text: str | bytes) -> StarFile:
    path = folder / "particles.star"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_star(path)


def test_relion30_is_one_table(tmp_path: Path) -> None:
    rows = relion30_rows(6, "stack.mrcs")
    star = read_star(write_star30(tmp_path / "a.star", rows))
    assert (star.dialect, star.optics) == ("relion30", None)
    assert star.particles["rlnImageName"].tolist() == [row["rlnImageName"] for row in rows]
    for name in ("rlnDefocusU", "rlnAngleRot", "rlnOriginY"):
        np.testing.assert_array_equal(star.particles[name], [row[name] for row in rows])


def test_relion31_has_optics_groups(tmp_path: Path) -> None:
    star = read_star(write_star31(tmp_path / "a.star", relion30_rows(6, "stack.mrcs"), box=64))
    assert star.dialect == "relion31"
    assert star.optics is not None
    assert star.optics["rlnImageSize"].tolist() == [64]
    assert len(star.particles) == 6


def test_blocks_may_come_in_any_order_among_others(tmp_path: Path) -> None:
    optics = star_block("optics", ["rlnOpticsGroup", "rlnVoltage"], [["b", 200], ["a", 300]])
    particles = star_block("particles", ["rlnImageName", "rlnOpticsGroup"], [["1@x.mrcs", "a"]])
    general = "data_general\n\n_rlnTomoSubTomosAre2DStacks 1\n_rlnEmpty\n\n"
    for text in (optics + general + particles, particles + optics + general, general + particles + optics):
        star = read_text(tmp_path, "# version 50001\n\n" + text)
        assert star.optics is not None
        assert star.optics["rlnOpticsGroup"].tolist() == ["b", "a"]
        assert star.particles.to_dict("list") == {"rlnImageName": ["1@x.mrcs"], "rlnOpticsGroup": ["a"]}


def test_optics_as_names_and_values(tmp_path: Path) -> None:
    optics = "data_optics\n\n_rlnOpticsGroup 1\n_rlnOpticsGroupName 'group one'\n_rlnVoltage 300.5\n\n"
    star = read_text(tmp_path, optics + star_block("particles", ["rlnImageName"], [["1@x.mrcs"]]))
    assert star.optics is not None
    assert star.optics.iloc[0].tolist() == [1, "group one", 300.5]


def test_any_block_with_image_names_will_do(tmp_path: Path) -> None:
    star = read_text(tmp_path, star_block("subset_3", ["rlnImageName"], [["1@x.mrcs"]]))
    assert star.particles["rlnImageName"].tolist() == ["1@x.mrcs"]


def test_quotes_blanks_comments_line_ends_and_bom(tmp_path: Path) -> None:
    text = (
        "\ufeff# made by hand\r\ndata_ # one table\r\n\r\nloop_ \r\n_rlnImageName #1\r\n_rlnDefocusU\r\n"
        "_rlnMicrographName #3 \r\n\r\n"
        "1@x.mrcs  1e4\t'my grid/a#1.mrc'  \r\n"
        "# a remark of \"three words'\r\n"
        '  2@x.mrcs -5 "O\'Brien/b.mrc"\t\r\n'
        "\r\n3@x.mrcs nan c'd.mrc"
    )
    star = read_text(tmp_path, text)
    assert star.particles["rlnImageName"].tolist() == ["1@x.mrcs", "2@x.mrcs", "3@x.mrcs"]
    np.testing.assert_array_equal(star.particles["rlnDefocusU"], [1e4, -5, np.nan])
    assert star.particles["rlnMicrographName"].tolist() == ["my grid/a#1.mrc", "O'Brien/b.mrc", "c'd.mrc"]


def test_names_that_look_like_numbers_stay_text(tmp_path: Path) -> None:
    text = star_block("", ["rlnImageName", "rlnMicrographName"], [["1@x.mrcs", "0001"], ["2@x.mrcs", "None"]])
    assert read_text(tmp_path, text).particles["rlnMicrographName"].tolist() == ["0001", "None"]


HEAD = "\ndata_\n\nloop_\n_rlnImageName #1\n_rlnDefocusU #2\n_rlnDefocusV #3\n"


@pytest.mark.parametrize(
    ("rows", "line", "found"),
    [
        ("1@a.mrcs 1 2\n2@a.mrcs 1\n3@a.mrcs 1 2\n", 9, 2),
        ("1@a.mrcs 1 2\n# remark\n\n2@a.mrcs 1 2\n3@a.mr", 12, 1),
        ("1@a.mrcs 1 2 3\n2@a.mrcs 1 2\n", 8, 4),
        ("1@a.mrcs 1 2\n2@a.mrcs 1 2 3\n", 9, 4),
        ("1@a.mrcs 1 2 3 4\n2@a.mrcs 1 2 3 4\n", 8, 5),
        ("1@a.mrcs 1 2\n2@a.mrcs 1 2 3 4 5\n", 9, 6),
        ("'1 of@a.mrcs' 1 2\n2 of@a.mrcs 1 2\n", 9, 4),
    ],
)
def test_a_malformed_row_is_named_by_its_line(tmp_path: Path, rows: str, line: int, found: int) -> None:
    with pytest.raises(InputError, match=rf"line {line}: expected 3 columns .*found {found}"):
        read_text(tmp_path, HEAD + rows)


def test_line_numbers_count_through_earlier_blocks(tmp_path: Path) -> None:
    optics = "data_optics\n\nloop_\n_rlnOpticsGroup\n1\n2\n\n"
    with pytest.raises(InputError, match="line 13: expected 2 columns"):
        read_text(tmp_path, optics + "data_particles\nloop_\n_rlnImageName\n_rlnOpticsGroup\n1@a 1\n2@a\n")


def test_missing_values_in_the_last_column_are_no_fault(tmp_path: Path) -> None:
    star = read_text(tmp_path, HEAD + "1@a.mrcs 1 nan\n2@a.mrcs 1 2\n")
    np.testing.assert_array_equal(star.particles["rlnDefocusV"], [np.nan, 2])


def test_an_open_quotation_mark_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 9: a quotation mark"):
        read_text(tmp_path, HEAD + '1@a.mrcs 1 2\n"2@a.mrcs 1 2\n3@a.mrcs" 1 2\n')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data_\nloop_\n_cisTEMPositionInStack #1\n_cisTEMPhi #2\n1 2\n", "star file of cisTEM"),
        (HEAD, "has no rows"),
        ("data_micrographs\nloop_\n_rlnMicrographName\na.mrc\n", r"holds no particles.*data_micrographs"),
        ("data_optics\nloop_\n_rlnOpticsGroup\n1\n", "holds no particles"),
        ("hello\n", "not a star file"),
        ("", "not a star file"),
        ("data_\nloop_\n_rlnImageName\n_rlnImageName\na b\n", "two columns _rlnImageName"),
        ("data_\n1@a.mrcs 1\n", "line 2: expected loop_"),
        (b"data_\nloop_\n_rlnImageName\nMARC\xc9.mrcs\n", "UTF-8"),
        (b"\x00\x01\x00\x00" * 40, "is binary"),
    ],
)
def test_what_is_no_particle_table_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_text(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert "particles.star" in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.star"):
        read_star(tmp_path / "nowhere.star")


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "rlnImageName": ["000001@a b.mrcs", "000002@#c.mrcs", '3@"d".mrcs'],
            "rlnDefocusU": [1e-9, 15234.123456789012, -0.1],
            "rlnNothing": [np.nan, 1.0, 1 / 3],
            "rlnOpticsGroup": [1, 2, 7],
            "rlnGroupName": ["", "x", "y'z"],
        }
    )


def test_awkward_text_and_small_numbers_come_back(tmp_path: Path) -> None:
    particles = table()
    write_star(tmp_path / "a.star", particles, pd.DataFrame({"_rlnOpticsGroup": [1, 2]}))
    star = read_star(tmp_path / "a.star")
    assert star.dialect == "relion31"
    pd.testing.assert_frame_equal(star.particles, particles, check_exact=True)
    assert star.optics is not None
    assert star.optics["rlnOpticsGroup"].tolist() == [1, 2]


def test_starfile_reads_the_same_values(tmp_path: Path) -> None:
    particles = table()[["rlnDefocusU", "rlnOpticsGroup"]].assign(rlnImageName=["1@a", "2@a", "3@b"])
    write_star(tmp_path / "a.star", particles, pd.DataFrame({"rlnOpticsGroup": [1], "rlnVoltage": [300.0]}))
    blocks = starfile.read(tmp_path / "a.star", always_dict=True)
    assert list(blocks) == ["optics", "particles"]
    pd.testing.assert_frame_equal(blocks["particles"], particles, check_exact=True)
    assert blocks["optics"]["rlnVoltage"].tolist() == [300]


def test_what_starfile_writes_is_read(tmp_path: Path) -> None:
    particles = table().iloc[:1].drop(columns=["rlnNothing", "rlnGroupName"])
    starfile.write(
        {"optics": {"rlnOpticsGroup": 1}, "particles": particles}, tmp_path / "a.star", float_format="%.12g"
    )
    star = read_star(tmp_path / "a.star")
    pd.testing.assert_frame_equal(star.particles, particles, check_exact=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(allow_infinity=False, width=64), min_size=1, max_size=20))
def test_every_float64_comes_back_bit_for_bit(tmp_path: Path, values: list[float]) -> None:
    write_star(tmp_path / "a.star", pd.DataFrame({"rlnImageName": ["1@a"] * len(values), "rlnX": values}))
    np.testing.assert_array_equal(
        read_star(tmp_path / "a.star").particles["rlnX"].to_numpy(np.float64), values
    )


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.star"
    write_star(path, table().iloc[:1])
    before = path.read_bytes()

    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_star(path, pd.DataFrame({"rlnImageName": np.array([Unprintable()], dtype=object)}))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_many_rows_are_read_in_seconds(tmp_path: Path) -> None:
    import time

    n = 100_000
    rng = np.random.default_rng(0)
    columns = {f"rlnColumn{i}": np.round(rng.uniform(-180, 180, n), 6) for i in range(12)}
    names = [f"{i + 1:06d}@Extract/job012/Micrographs/hole_{i // 300:06d}.mrcs" for i in range(n)]
    particles = pd.DataFrame({"rlnImageName": names, **columns})
    write_star(tmp_path / "a.star", particles)
    start = time.perf_counter()
    star = read_star(tmp_path / "a.star")
    assert time.perf_counter() - start < 10  # about 0.4 s; a loop over rows in Python takes a minute
    pd.testing.assert_frame_equal(star.particles, particles, check_exact=True)
