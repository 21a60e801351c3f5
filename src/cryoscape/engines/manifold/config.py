"""Settings of the curved subspace; the defaults serve every data set."""

from dataclasses import dataclass

from cryoscape.errors import InputError

_LEAST_EPOCHS, _MOST_EPOCHS, _ENOUGH = 5, 30, 1_500_000
"""Epochs, and particles seen in all after which little is gained."""


@dataclass(frozen=True)
class ManifoldConfig:
    """How networks on the subspace are trained.

    Attributes
    ----------
    zdim
        Dimension of the latent u.
    epochs
        Passes over the evidence, which is small: no image is read again. None for 30, fewer where particles
        are many.
    batch_size
        Particles a step; fewer where there are few particles, so that an epoch has steps enough.
    width
        Of the two hidden layers of encoder and decoder.
    learning_rate
        Highest of the one-cycle schedule.
    draws
        Of u, a particle and step, in the bound that is trained: 1 is the usual variational bound, more are
        tighter (importance-weighted; Burda, Grosse & Salakhutdinov 2016).
    kl_start, kl_share
        Weight of the prior: first value, and share of the steps after which it is 1.
    held_out_share
        Of the particles that networks are not trained on, 10,000 at most.
    samples
        Draws a particle of the importance-weighted likelihood while training.
    final_samples
        The same at the end, for maps and likelihoods.
    patience
        Epochs without a better held-out likelihood after which training ends, where ``epochs`` is None.
    renewal_share
        Of the epochs after which maps are made again, and images read again with them.
    """

    zdim: int = 8
    epochs: int | None = None
    batch_size: int = 256
    width: int = 128
    learning_rate: float = 3e-3
    draws: int = 5
    kl_start: float = 0.2
    kl_share: float = 0.3
    held_out_share: float = 0.1
    samples: int = 10
    final_samples: int = 50
    patience: int = 10
    renewal_share: float = 0.4
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot be."""
        for flag, value in (("--zdim", self.zdim), ("-n", self.epochs)):
            if value is not None and value < 1:
                raise InputError(f"{flag} {value}: expected at least 1")

    def n_epochs(self, n_particles: int) -> int:
        """Epochs for so many particles: as many steps as serve, but each particle a few times."""
        if self.epochs is not None:
            return self.epochs
        return max(_LEAST_EPOCHS, min(_MOST_EPOCHS, round(_ENOUGH / max(n_particles, 1))))

    def renewed_before(self, n_epochs: int) -> int:
        """The first epoch with maps made again; at least one epoch has them."""
        return min(round(self.renewal_share * n_epochs), n_epochs - 1)
