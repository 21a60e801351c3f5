"""What metrics.jsonl says of the iterations or epochs of a training, all numbers by name."""

import json
from collections.abc import Iterable
from typing import Literal

import numpy as np


def parse_iterations(
    lines: Iterable[str], counter: Literal["iteration", "epoch"] = "iteration"
) -> dict[str, np.ndarray]:
    """Numbers by name, one a complete record, NaN where a record lacks one.

    Empty where no record has the counter; the last line of a run that was cut off is passed over.
    """
    records = []
    for line in lines:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict) and counter in record:
            records.append(record)
    names = {name for record in records for name, value in record.items() if _is_number(value)}
    return {
        name: np.array([r[name] if _is_number(r.get(name)) else np.nan for r in records], dtype=np.float64)
        for name in sorted(names)
    }


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
