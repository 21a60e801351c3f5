"""Settings of the states engine; the defaults serve every data set."""

from dataclasses import dataclass

from cryoscape.errors import InputError


@dataclass(frozen=True)
class StatesConfig:
    """How states are found.

    Attributes
    ----------
    k : number of states; None for as many as can be told apart.
    start_k : states to start from, merged afterwards; at least half as many again as ``k``.
    starts : times that clusters are drawn; the likeliest start is taken.
    iterations : most iterations of the mixture at each number of states; ``final_iterations`` at the last.
    rounds : times that states get maps of their own and are found again in these.
    temperature : by which log-likelihoods are divided at the start.
    least_nats_a_particle : two states are one where merging them costs the smaller one's particles less each.
    """

    k: int | None = None
    start_k: int = 24
    starts: int = 3
    iterations: int = 4
    final_iterations: int = 40
    rounds: int = 1
    temperature: float = 2.0
    least_nats_a_particle: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot be."""
        if self.k is not None and self.k < 1:
            raise InputError(f"--k {self.k}: expected at least 1, or auto")

    @property
    def first_k(self) -> int:
        """States at the start."""
        return max(self.start_k, 0 if self.k is None else self.k + self.k // 2)
