import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import (
    load_pickles,
    read_config_pickle,
    read_ctf,
    read_labels,
    read_latents,
    read_poses,
    read_rows,
    write_array_pickle,
    write_ctf,
    write_poses,
)
from particle_files import random_rotations, write_pickle


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


READERS = (load_pickles, read_poses, read_ctf, read_rows, read_labels, read_latents, read_config_pickle)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("reader", READERS)
def test_hostile_pickles_are_refused_and_not_run(tmp_path: Path, protocol: int, reader: Any) -> None:
    flag = tmp_path / "flag"
    bomb = Payload(os.system, f"touch {flag}")
    numbers = np.zeros((3, 3, 3))
    hidden = np.empty(2, dtype=object)
    hidden[:] = [1.0, bomb]
    cases = [bomb, [bomb], {"a": bomb}, (numbers, bomb), hidden, (numbers, hidden), OrderedDict(a=hidden)]
    cases += [Payload(eval, f"open({str(flag)!r}, 'w')"), Payload(getattr, "text", "upper")]
    cases += [Payload(subprocess.call, ["touch", str(flag)]), Payload(np.load, str(flag), None, True)]
    path = tmp_path / "a.pkl"
    for case in cases:
        path.write_bytes(pickle.dumps(case, protocol=protocol))
        with pytest.raises(InputError, match="unsafe pickle"):
            reader(path)
    assert not flag.exists()


def test_a_hostile_second_pickle_is_refused_too(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    path = tmp_path / "z.pkl"
    path.write_bytes(pickle.dumps(np.zeros((3, 2))) + pickle.dumps(Payload(os.system, f"touch {flag}")))
    with pytest.raises(InputError, match="unsafe pickle"):
        read_latents(path)
    assert not flag.exists()


@pytest.mark.parametrize(
    "name",
    [
        "numpy._core.multiarray\nset_typeDict",
        "numpy.dtypes\n__builtins__",
        "numpy\nfromfile",
        "builtins\neval",
    ],
)
def test_only_builders_of_arrays_are_found_in_numpy(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.pkl").write_bytes(f"c{name}\n.".encode())
    with pytest.raises(InputError, match="unsafe pickle"):
        load_pickles(tmp_path / "a.pkl")


def test_dtype_classes_are_the_only_names_of_their_module(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"cnumpy.dtypes\nos.systemDType\n.")
    with pytest.raises(InputError, match="pickle"):
        load_pickles(tmp_path / "a.pkl")


VALUES = [
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(4, dtype=">f4"),
    np.array([True, False]),
    np.array(["a", "b"]),
    np.array([b"x"]),
    np.zeros((0, 2), np.float32),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_all_protocols_come_back(tmp_path: Path, protocol: int) -> None:
    for value in (*VALUES, np.float32(2.5), np.int64(3)):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(value, protocol=protocol))
        (found,) = load_pickles(tmp_path / "a.pkl")
        assert found.dtype.newbyteorder("=") == value.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_numpy_1_and_2_name_their_modules_differently(tmp_path: Path, protocol: int) -> None:
    value = (np.arange(6.0).reshape(2, 3), np.float32(3))
    data = pickle.dumps(value, protocol=2)
    new = data.replace(b"numpy.core.", b"numpy._core.")
    old = data.replace(b"numpy._core.", b"numpy.core.")
    assert new != old
    for content in (new, old):
        (tmp_path / "a.pkl").write_bytes(content)
        ((array, scalar),) = load_pickles(tmp_path / "a.pkl")
        np.testing.assert_array_equal(array, value[0])
        assert scalar == 3


def test_torch_tensors_are_named_as_such(tmp_path: Path) -> None:
    path = write_pickle(tmp_path / "a.pkl", torch.zeros(3))
    with pytest.raises(InputError, match="torch tensors, expected numpy arrays"):
        load_pickles(path)


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    path = write_pickle(tmp_path / "a.pkl", np.zeros(3))
    code = "import sys; from cryoscape.io.legacy_pickle import load_pickles; load_pickles(sys.argv[1]); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 0


def test_poses_come_back_as_float64(tmp_path: Path) -> None:
    rotation, shift = random_rotations(5), np.random.default_rng(0).uniform(-0.1, 0.1, (5, 2))
    write_poses(tmp_path / "poses.pkl", rotation, shift)
    raw = pickle.loads((tmp_path / "poses.pkl").read_bytes())
    assert isinstance(raw, tuple)
    assert [part.dtype for part in raw] == [np.float32, np.float32]
    found = read_poses(tmp_path / "poses.pkl")
    assert found[0].dtype == found[1].dtype == np.float64
    np.testing.assert_allclose(found[0], rotation, atol=1e-6)
    np.testing.assert_allclose(found[1], shift, atol=1e-7)


@pytest.mark.parametrize("form", ["array", "one", "flat", "list"])
def test_other_forms_of_poses_are_accepted(tmp_path: Path, form: str) -> None:
    rotation = random_rotations(4)
    zero = np.zeros((4, 2))
    forms = {
        "array": rotation,
        "one": (rotation,),
        "flat": (rotation.reshape(4, 9), zero),
        "list": [rotation, zero],
    }
    found, shift = read_poses(write_pickle(tmp_path / "a.pkl", forms[form]))
    np.testing.assert_array_equal(found, rotation)
    np.testing.assert_array_equal(shift, zero)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((3, 4)), r"rotations \(N, 3, 3\), found \(3, 4\)"),
        ((np.zeros((3, 3, 3)), np.zeros((2, 2))), r"shifts \(3, 2\), found \(2, 2\)"),
        ((np.zeros((3, 3, 3)), np.zeros((3, 2)), 1), "found 3 parts"),
        ({"a": 1}, "does not hold poses"),
        ("poses", "does not hold poses"),
    ],
)
def test_what_is_no_poses_is_refused(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_poses(write_pickle(tmp_path / "a.pkl", value))


def test_ctf_comes_back(tmp_path: Path) -> None:
    table = np.random.default_rng(0).uniform(0, 20000, (7, 9))
    write_ctf(tmp_path / "ctf.pkl", table)
    assert pickle.loads((tmp_path / "ctf.pkl").read_bytes()).dtype == np.float32
    np.testing.assert_array_equal(read_ctf(tmp_path / "ctf.pkl"), table.astype(np.float32))


@pytest.mark.parametrize("value", [np.zeros((7, 8)), np.zeros(9), np.array(["a"] * 9)])
def test_what_is_no_ctf_is_refused(tmp_path: Path, value: np.ndarray) -> None:
    with pytest.raises(InputError, match="does not hold CTF parameters"):
        read_ctf(write_pickle(tmp_path / "a.pkl", value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([3, 1, 7]), [3, 1, 7]),
        ([3, 1, 7], [3, 1, 7]),
        (np.array([3.0, 1.0]), [3, 1]),
        (np.array([False, True, True]), [1, 2]),
        (np.zeros(0, np.int32), []),
    ],
)
def test_rows_are_whole_numbers_in_the_order_given(
    tmp_path: Path, value: object, expected: list[int]
) -> None:
    rows = read_rows(write_pickle(tmp_path / "a.pkl", value))
    assert rows.dtype == np.int64
    assert rows.tolist() == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([0.5]), "fractions"),
        (np.array([-1, 2]), "negative"),
        (np.array([4, 2, 4]), "more than once .first 4"),
    ],
)
def test_what_is_no_rows_is_refused(tmp_path: Path, value: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_rows(write_pickle(tmp_path / "a.pkl", value))


def test_labels_are_one_whole_number_a_particle(tmp_path: Path) -> None:
    path = write_pickle(tmp_path / "a.pkl", np.array([2.0, 0.0, -1.0]))
    assert read_labels(path).tolist() == [2, 0, -1]
    for value in (np.zeros((3, 2)), np.array([0.5]), np.array([np.nan]), np.array([], int), np.array(["a"])):
        with pytest.raises(InputError, match="does not hold labels"):
            read_labels(write_pickle(path, value))


@pytest.mark.parametrize("reader", [read_ctf, read_rows, read_labels, read_latents])
def test_poses_given_for_something_else_are_refused(tmp_path: Path, reader: Any) -> None:
    path = write_pickle(tmp_path / "a.pkl", (random_rotations(3), np.zeros((3, 2))))
    with pytest.raises(InputError, match="expected one array, found several"):
        reader(path)


def test_latents_are_one_pickle_or_two(tmp_path: Path) -> None:
    mean, logvar = np.ones((5, 3), np.float32), np.zeros((5, 3), np.float32)
    write_array_pickle(tmp_path / "z.pkl", mean, logvar)
    for found, expected in zip(read_latents(tmp_path / "z.pkl"), (mean, logvar), strict=True):
        np.testing.assert_array_equal(found, expected)
    write_array_pickle(tmp_path / "z.pkl", mean)
    assert read_latents(tmp_path / "z.pkl")[1] is None
    write_array_pickle(tmp_path / "z.pkl", mean[:, 0])
    assert read_latents(tmp_path / "z.pkl")[0].shape == (5, 1)
    write_array_pickle(tmp_path / "z.pkl", np.ones((2, 2, 2)))
    with pytest.raises(InputError, match="does not hold latents"):
        read_latents(tmp_path / "z.pkl")


def test_an_old_configuration(tmp_path: Path) -> None:
    config = OrderedDict(
        dataset_args={"norm": [0.0, np.float32(1.5)], "ind": None}, seed=1, cmd=["train_vae"]
    )
    found = read_config_pickle(write_pickle(tmp_path / "config.pkl", config))
    assert found == dict(config)
    with pytest.raises(InputError, match="is not a configuration"):
        read_config_pickle(write_pickle(tmp_path / "config.pkl", [1]))


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps(np.zeros(100))[:-30]])
def test_broken_pickles_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.pkl") as caught:
        load_pickles(tmp_path / "a.pkl")
    assert "\n" not in str(caught.value)


def test_a_missing_pickle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_pickles(tmp_path / "a.pkl")


def test_upstream_poses(shared_data: Path) -> None:
    rotation = load_pickles(shared_data / "particles" / "toy_angles.pkl")[0]
    error = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max()
    assert error < 1e-5
