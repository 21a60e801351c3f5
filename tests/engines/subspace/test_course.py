"""The course of learning, from the information that iterations tell."""

from collections.abc import Iterator
from itertools import repeat

import numpy as np
import pytest

from cryoscape.engines.subspace.config import SubspaceConfig
from cryoscape.engines.subspace.course import Course, Place

CONFIG = SubspaceConfig(sample=1000)


def followed(course: Course, information: Iterator[float]) -> list[Place]:
    """Places after each iteration, to the end of learning."""
    places = [Place()]
    while not places[-1].finished:
        assert len(places) < 60
        places.append(course.after(places[-1], next(information)))
    return places[1:]


def by_level(course: Course, levels: list[float]) -> list[int]:
    """Iterations at each level, all images as one more, where information is a constant of the level."""
    counts, place = np.zeros(len(course.radii) + 1, int), Place()
    while not place.finished:
        counts[-1 if place.whole else place.level] += 1
        place = course.after(place, float(levels[place.level]))
    return counts.tolist()


def course(n_images: int = 500, box: int = 64) -> Course:
    return Course.of(CONFIG, box, n_images)


def test_a_radius_takes_three_iterations_where_nothing_more_comes() -> None:
    # gains of 3, 2, 4: the last radius but one promises enough for the next
    assert course().radii == (8, 11, 15, 24, 31)
    assert by_level(course(), [3, 5, 9, 11.5, 12]) == [3, 3, 3, 3, 0, 0]


def test_small_gains_end_learning_early() -> None:
    assert by_level(course(), [3, 5, 5.2, 0, 0]) == [3, 3, 3, 0, 0, 0]


def test_beyond_three_quarters_of_nyquist_much_must_be_promised() -> None:
    assert by_level(course(), [0.4, 0.5, 0.8, 1.5, 1.6])[3:] == [3, 3, 0]
    assert by_level(course(), [0.4, 0.5, 0.8, 1.0, 1.1])[3:] == [3, 0, 0]


def test_where_nothing_is_found_learning_begins_anew_up_to_three_quarters() -> None:
    found = followed(course(), repeat(0.01))
    assert [place.level for place in found][-1] == 3
    assert all(place.fresh for place in found)
    assert all(course().placing_radius(place) is None for place in found)


def test_while_information_grows_iterations_go_on_to_their_number() -> None:
    growing = iter(1.2**i for i in range(99))
    levels = [place.level for place in followed(course(), growing)]
    # twice as many at the first radius, and where learning may end
    assert [levels.count(level) for level in range(5)] == [5, 3, 3, 6, 7]


@pytest.mark.parametrize("levels", [[3, 5, 9, 11.5, 12], [3, 5, 5.2, 0, 0]])
def test_a_sample_is_learned_from_first_and_all_images_at_the_last_radius(levels: list[float]) -> None:
    counts = by_level(course(5000), levels)
    assert counts[:-1] == by_level(course(), levels)[:-1]
    assert counts[-1] == 2


def test_images_are_placed_by_frequencies_that_maps_know_of() -> None:
    found = course(5000)
    place = Place(level=2, step=0, fresh=False)
    assert found.placing_radius(place) == 11
    assert found.placing_radius(Place(level=2, step=1, fresh=False)) is None
    assert found.placing_radius(Place(level=2, fresh=False, whole=True)) is None
    assert found.placing_radius(Place(fresh=False)) is None
