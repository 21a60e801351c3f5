import numpy as np

from cryoscape.physics.compiled_loops import ask_for, compiled


@compiled()
def total(numbers, ahead, out, first, last):
    for i in range(first, last):
        ask_for(numbers, i + ahead, 1)
        out[0] += numbers[i, 0]


def test_asking_changes_nothing_and_may_ask_for_any_place() -> None:
    numbers, out = np.arange(12, dtype=np.float32).reshape(6, 2), np.zeros(1)
    for ahead in (1, 10**9, -(10**9)):
        out[:] = 0
        total(numbers, ahead, out, 0, 6)
        assert out[0] == 0 + 2 + 4 + 6 + 8 + 10
    # also of rows that do not follow each other
    total(numbers[::2], 1, out, 0, 3)
    assert out[0] == 30 + 0 + 4 + 8
