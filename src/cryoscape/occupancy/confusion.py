"""Classes of particles against labels that they have from elsewhere."""

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.metrics import adjusted_rand_score


@dataclass(frozen=True, eq=False)
class Confusion:
    """How particles of each label are shared out among classes.

    Attributes
    ----------
    classes : (k,) numbers of the classes, those that hold the first labels first.
    labels : names of the labels, in the order that people sort names with numbers.
    counts : (k, m) particles of each class and label; those without a label are left out.
    adjusted_rand : adjusted Rand index of classes and labels, over the particles.
    unlabelled : particles without a label.
    """

    classes: Int[np.ndarray, " k"]
    labels: tuple[str, ...]
    counts: Int[np.ndarray, "k m"]
    adjusted_rand: float
    unlabelled: int

    @property
    def share_of_label(self) -> Float[np.ndarray, "k m"]:
        """Share of the particles of each label that each class has; columns add up to 1."""
        return np.asarray(self.counts / self.counts.sum(axis=0))


def confusion(classes: Int[np.ndarray, " n"], labels: np.ndarray) -> Confusion:
    """Count particles by class and label.

    Parameters
    ----------
    classes
        Of each particle, from 0.
    labels
        (n,) objects: text, or None for a particle without a label; one label at least.
    """
    known: Bool[np.ndarray, " n"] = np.array([label is not None for label in labels], dtype=bool)
    names = sorted(set(labels[known].tolist()), key=_natural)
    numbers, rows = np.unique(classes, return_inverse=True)
    place = {name: i for i, name in enumerate(names)}
    columns = np.array([place[label] for label in labels[known]], dtype=np.int64)
    counts = np.zeros((len(numbers), len(names)), dtype=np.int64)
    np.add.at(counts, (rows[known], columns), 1)
    share = counts / counts.sum(axis=0)
    middle = (share * np.arange(len(names))).sum(axis=1) / np.maximum(share.sum(axis=1), 1e-12)
    middle[share.sum(axis=1) == 0] = len(names)  # classes without labelled particles come last
    order = np.lexsort((numbers, middle, share.argmax(axis=1) + len(names) * (middle >= len(names))))
    return Confusion(
        numbers[order].astype(np.int64),
        tuple(names),
        counts[order],
        float(adjusted_rand_score(columns, rows[known])),
        int((~known).sum()),
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts names with numbers as people do: C2 before C10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
