"""States found from moments: likelihoods against integrals, places against least squares."""

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from cryoscape.engines.states.config import StatesConfig
from cryoscape.engines.states.evidence import Evidence, Likelihoods, Reading, likelihoods, packed
from cryoscape.engines.states.fit import StepReport, find_states
from cryoscape.engines.states.frame import frame_of, in_frame, moments_of_states
from cryoscape.engines.states.merging import held_out_likelihood
from cryoscape.engines.states.mixture import Mixture, centres_of, log_likelihoods, responsibilities
from cryoscape.engines.states.stability import matched_overlap, stability
from cryoscape.engines.subspace.em import Model
from cryoscape.errors import InputError

Q, PIXELS = 2, 12


def images_of(centres: np.ndarray, state: np.ndarray, seed: int = 0) -> torch.Tensor:
    """Moments (N, Q + 2, Q + 2) of images of unit noise, each with a random projection of its own."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(len(state), PIXELS, Q + 1))
    v = np.concatenate([np.ones((len(state), 1)), centres[state]], axis=1)
    data = np.einsum("npm,nm->np", maps, v) + rng.normal(size=(len(state), PIXELS))
    rows = np.concatenate([maps, data[:, :, None]], axis=2)
    return torch.from_numpy(np.einsum("npa,npb->nab", rows, rows)).float()


def reading_of(moments: torch.Tensor) -> Reading:
    evidence = packed(moments, 0.0)
    z = torch.linalg.solve(moments[:, 1:-1, 1:-1] + torch.eye(Q), moments[:, 1:-1, -1] - moments[:, 1:-1, 0])
    return Reading(evidence, z, torch.zeros(len(z)))


CENTRES = np.array([[2.0, 0.0], [-1.0, 1.5], [-1.0, -1.5]])


@pytest.fixture(scope="module")
def three() -> tuple[Reading, np.ndarray]:
    state = np.random.default_rng(1).choice(3, size=1200, p=[0.5, 0.42, 0.08])
    return reading_of(images_of(CENTRES, state)), state


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_likelihood_is_the_integral_over_contrast(spread: float) -> None:
    moments = images_of(CENTRES, np.array([0, 1, 2, 0]))
    found = likelihoods(packed(moments, spread), torch.from_numpy(CENTRES).float())
    for i, g in enumerate(moments.double().numpy()):
        for k, centre in enumerate(CENTRES):
            v = np.array([1.0, *centre])
            a = np.linspace(0.2, 1.8, 4001) if spread else np.ones(1)
            log = a * (g[-1, :-1] @ v) - a**2 / 2 * (v @ g[:-1, :-1] @ v)
            prior = np.exp(-((a - 1) ** 2) / 2 / spread**2) if spread else np.ones(1)
            weight = prior / prior.sum() * np.exp(log - log.max())
            assert float(found.log[i, k]) == pytest.approx(np.log(weight.sum()) + log.max(), abs=2e-3)
            mean = (weight * a).sum() / weight.sum()
            assert float(found.contrast[i, k]) == pytest.approx(mean, abs=1e-3)


def test_places_of_certain_images_are_least_squares() -> None:
    moments = images_of(CENTRES, np.repeat([0, 1], 20))
    evidence = packed(moments, 0.0)
    weight = torch.zeros(40, 2)
    weight[:20, 0] = weight[20:, 1] = 1
    one = torch.ones(40, 2)
    found = centres_of(evidence, weight, Likelihoods(one, one, 0 * one)).numpy()
    for k, part in enumerate(moments.double().numpy().reshape(2, 20, Q + 2, Q + 2)):
        g = part.sum(0)
        expected = np.linalg.solve(g[1:-1, 1:-1], g[1:-1, -1] - g[1:-1, 0])
        np.testing.assert_allclose(found[k], expected, atol=1e-4)


def test_states_are_found_with_their_number(three: tuple[Reading, np.ndarray]) -> None:
    reading, state = three
    steps: list[StepReport] = []
    mixture = find_states(reading, StatesConfig(start_k=8), steps.append)
    assert mixture.k == 3
    assert [s.n_states for s in steps if s.step == "merged"] == [7, 6, 5, 4, 3]
    np.testing.assert_allclose(mixture.shares.numpy(), np.bincount(state) / len(state), atol=0.03)
    np.testing.assert_allclose(mixture.centres.numpy(), CENTRES, atol=0.25)
    weight, _, total = responsibilities(reading.evidence, mixture)
    assert adjusted_rand_score(state, weight.argmax(1).numpy()) > 0.9
    torch.testing.assert_close(total, log_likelihoods(reading.evidence, mixture))
    held_out = held_out_likelihood(reading.evidence, mixture, 4)
    assert float(total.mean()) - 0.05 < held_out < float(total.mean())
    assert stability(reading, weight.argmax(1).numpy(), 3, StatesConfig(start_k=8)).min() > 0.7


def test_one_state_is_one_and_a_number_asked_for_is_kept() -> None:
    reading = reading_of(images_of(CENTRES, np.zeros(600, int)))
    assert find_states(reading, StatesConfig(start_k=6)).k == 1
    assert find_states(reading, StatesConfig(k=2, start_k=6)).k == 2
    with pytest.raises(InputError, match="--k 0"):
        StatesConfig(k=0)


def test_the_frame_holds_the_states_and_is_white() -> None:
    shares = torch.tensor([0.5, 0.3, 0.15, 0.05])
    centres = torch.randn(4, Q, generator=torch.Generator().manual_seed(0))
    frame = frame_of(Mixture(centres, shares))
    assert frame.points.shape == (4, 3)  # one dimension more than the subspace has
    torch.testing.assert_close(shares @ frame.points, torch.zeros(3), atol=1e-5, rtol=0)
    second = frame.points.T @ (shares[:, None] * frame.points)
    torch.testing.assert_close(second, torch.eye(3), atol=1e-4, rtol=0)
    back = frame.change[0, 1:] + frame.points @ frame.change[1:, 1:]
    torch.testing.assert_close(back, centres, atol=1e-5, rtol=0)
    maps = torch.randn(2, Q + 1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    turned = in_frame(Model(maps, torch.ones(3, Q + 1), torch.ones(3), 0.0), frame)
    state = torch.einsum("i,hizyx->hzyx", torch.cat([torch.ones(1), frame.points[2]]), turned.maps)
    same = torch.einsum("i,hizyx->hzyx", torch.cat([torch.ones(1), centres[2]]), maps)
    torch.testing.assert_close(state, same, atol=1e-4, rtol=0)
    assert float(turned.power.min()) > 0


def test_moments_of_states_are_expectations() -> None:
    points = torch.tensor([[1.0], [-2.0]])
    contrast = torch.tensor([[1.1, 0.9]])
    found = Likelihoods(contrast, contrast, torch.full((1, 2), 0.01))
    once, twice = moments_of_states(points, torch.tensor([[0.25, 0.75]]), found)
    torch.testing.assert_close(once, torch.tensor([[0.25 * 1.1 + 0.75 * 0.9, 0.25 * 1.1 - 1.5 * 0.9]]))
    square = 0.25 * (1.21 + 0.01) * 1 + 0.75 * (0.81 + 0.01) * 4
    assert float(twice[0, 1, 1]) == pytest.approx(square, rel=1e-5)


def test_overlap_ignores_the_names_of_classes() -> None:
    a = np.repeat([0, 1, 2], 10)
    assert matched_overlap(a, (a + 1) % 3, 3).tolist() == [1, 1, 1]
    b = a.copy()
    b[:5] = 1
    np.testing.assert_allclose(matched_overlap(a, b, 3), [0.5, 10 / 15, 1])


def test_evidence_of_some_images_is_theirs(three: tuple[Reading, np.ndarray]) -> None:
    evidence: Evidence = three[0].evidence
    part = evidence.of(torch.tensor([5, 2]))
    mixture = Mixture(torch.from_numpy(CENTRES).float(), torch.full((3,), 1 / 3))
    torch.testing.assert_close(
        log_likelihoods(part, mixture), log_likelihoods(evidence, mixture)[torch.tensor([5, 2])]
    )
