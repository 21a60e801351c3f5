import numpy as np

from cryoscape.plotting.fsc import plot_fsc, plot_map_overview


def test_curves_run_over_resolution_with_both_thresholds() -> None:
    curves = {"no mask": np.linspace(1, 0.1, 17), "corrected": np.linspace(1, 0.3, 17)}
    (ax,) = plot_fsc(curves, 32, 2.0, bold="corrected").axes
    drawn = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_allclose(drawn["corrected"].get_xdata(), np.arange(1, 17) / 64)
    assert drawn["corrected"].get_linewidth() > drawn["no mask"].get_linewidth()
    assert {text.get_text() for text in ax.texts} == {"0.5", "0.143"}
    assert [label.get_text() for label in ax.get_xticklabels()] == ["∞", "20", "10", "6.67", "5", "4"]


def test_a_map_is_shown_by_three_slices_and_three_surfaces() -> None:
    axis = np.arange(16) - 8
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    volume = (radius < 5).astype(np.float32)
    figure = plot_map_overview(volume, 2.0, "a ball")
    assert len(figure.axes) == 6
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), volume[8])
    empty = plot_map_overview(np.zeros((8, 8, 8), np.float32), 2.0, "nothing")
    assert len(empty.axes) == 6
