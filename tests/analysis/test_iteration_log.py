import numpy as np

from cryoscape.analysis.iteration_log import parse_iterations


def test_numbers_by_name_with_gaps_as_nan():
    lines = ['{"iteration": 0, "radius": 8, "step": "a"}', '{"iteration": 1, "radius": null, "noise": 0.5}']
    found = parse_iterations(lines)
    assert set(found) == {"iteration", "radius", "noise"}
    np.testing.assert_array_equal(found["iteration"], [0, 1])
    np.testing.assert_array_equal(found["radius"], [8, np.nan])
    np.testing.assert_array_equal(found["noise"], [np.nan, 0.5])


def test_epochs_and_a_line_cut_off_are_no_iterations():
    assert parse_iterations(['{"epoch": 0, "loss": 1}', '{"iteration": 1, "rad']) == {}


def test_epochs_on_request():
    lines = ['{"epoch": 0, "bound": 1}', '{"iteration": 1, "radius": 8}', '{"epoch": 1, "bound": 2}']
    found = parse_iterations(lines, "epoch")
    assert {name: values.tolist() for name, values in found.items()} == {"epoch": [0, 1], "bound": [1, 2]}
