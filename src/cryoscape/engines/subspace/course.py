"""The course of learning: from which images and frequencies, and when it goes on or ends."""

from dataclasses import dataclass, replace

import numpy as np

from cryoscape.engines.subspace.config import SubspaceConfig

_SETTLED_INFORMATION = 0.3
"""Held-out information, nats an image, from which on a larger radius must promise a gain."""


@dataclass(frozen=True)
class Place:
    """Where learning is.

    Attributes
    ----------
    level : of the radii.
    whole : all images are used, which is the last thing that happens; before, at most a sample of them.
    step, iteration : iterations done since the level was entered, and in all.
    information : held out, of the last iteration at this level.
    level_information, gained : of the end of the level before, and what that level had gained.
    fresh : the level began with new bases, as nothing had been found.
    finished : learning has ended.
    """

    level: int = 0
    whole: bool = False
    step: int = 0
    iteration: int = 0
    information: float = 0.0
    level_information: float = 0.0
    gained: float = 0.0
    fresh: bool = True
    finished: bool = False


@dataclass(frozen=True)
class Course:
    """Radii to go through, and the rules of it.

    Attributes
    ----------
    reach : radius beyond which a larger one must promise much.
    sampled : there are more images than are learned from while the radius grows.
    """

    config: SubspaceConfig
    radii: tuple[int, ...]
    reach: int
    sampled: bool

    @classmethod
    def of(cls, config: SubspaceConfig, box_size: int, n_images: int) -> "Course":
        """For some images."""
        return cls(config, tuple(config.radii(box_size)), config.reach(box_size), n_images > config.sample)

    def placing_radius(self, place: Place) -> int | None:
        """Radius that the maps know of in the first iteration at a larger one; None where it is the same."""
        new = place.step == 0 and place.level > 0 and not place.fresh and not place.whole
        return self.radii[place.level - 1] if new else None

    def after(self, place: Place, information: float) -> Place:
        """Where learning is after one more iteration, which told the information of the model before it."""
        done = replace(place, step=place.step + 1, iteration=place.iteration + 1, information=information)
        converged = information - place.information < self.config.tolerance * abs(information)
        longer = place.fresh or self._least_gain(place) >= self.config.least_far_gain
        most = self.config.max_iterations * (2 if longer else 1)
        # the first iterations at a radius begin with bases not fitted to it
        if done.step >= most or (converged and (done.step > 2 or place.whole)):
            return self._onward(done)
        return done

    def _onward(self, place: Place) -> Place:
        """To the next radius, or at the last one to all images, or to the end."""
        if place.whole:
            return replace(place, finished=True)
        information = place.information
        gained, before = information - place.level_information, place.gained
        # gains shrink from radius to radius; the next one is taken to shrink as the last two did
        promised = gained * min(1.0, gained / before) if before > 0 else gained
        # small motions show only at higher frequencies: nothing found yet is no reason to stop
        settled = place.level > 0 and information > _SETTLED_INFORMATION
        least = self._least_gain(place)
        far = least >= self.config.least_far_gain
        if np.isinf(least) or (promised < least * information if settled else far):
            if not self.sampled:
                return replace(place, finished=True)
            return replace(place, whole=True, step=0, information=-np.inf)
        return replace(
            place,
            level=place.level + 1,
            step=0,
            information=-np.inf,
            level_information=information,
            gained=gained if place.level else 0.0,
            fresh=information < _SETTLED_INFORMATION,
        )

    def _least_gain(self, place: Place) -> float:
        """Share of the information that the next radius must promise; infinite where there is none."""
        following = self.radii[place.level + 1 : place.level + 2]
        if not following:
            return np.inf
        return self.config.least_far_gain if following[0] > self.reach else self.config.least_gain
