"""Lists of structural elements that users write: TOML or CSV, a name and what it is made of."""

import csv
import tomllib
from pathlib import Path
from typing import Any

from cryoscape.errors import InputError
from cryoscape.typing import PathLikeStr

_COLUMNS = ("element", "model", "chain", "residues")


def read_element_list(path: PathLikeStr) -> dict[str, list[str]]:
    """Read which parts of the models each element is made of, as texts ``MODEL:CHAIN:RESIDUES``.

    Parameters
    ----------
    path
        ``.toml``: ``H68 = "RNA3:R"``, ``"L1 stalk" = ["prots1:F", "RNA3:X,Y:10-60"]``, at the top or in a
        table ``[elements]``. ``.csv``: columns element, chain and, where needed, model and residues; a line a
        part.

    Raises
    ------
    InputError
        If the file cannot be read or is of another form.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file; give elements as .toml or .csv") from error
    if path.suffix.lower() == ".toml":
        return _from_toml(text, path)
    if path.suffix.lower() == ".csv":
        return _from_csv(text, path)
    raise InputError(f"{path}: expected a list of elements that ends in .toml or .csv")


def _from_toml(text: str, path: Path) -> dict[str, list[str]]:
    try:
        table: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML ({error})") from error
    inner = table.get("elements")
    if isinstance(inner, dict):
        table = inner
    found: dict[str, list[str]] = {}
    for name, value in table.items():
        parts = value if isinstance(value, list) else [value]
        if not parts or not all(isinstance(part, str) for part in parts):
            raise InputError(f'{path}: {name}: expected text or a list of texts, such as {name} = "RNA3:R"')
        found[name] = parts
    return found


def _from_csv(text: str, path: Path) -> dict[str, list[str]]:
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    names = [(name or "").strip().lower() for name in rows.fieldnames or ()]
    if not {"element", "chain"} <= set(names) <= set(_COLUMNS):
        raise InputError(
            f"{path}: columns {', '.join(names) or 'none'}; expected element, chain and, where needed, model "
            "and residues"
        )
    rows.fieldnames = names
    found: dict[str, list[str]] = {}
    for row in rows:
        cells = {key: (row.get(key) or "").strip() for key in _COLUMNS}
        if not cells["element"] or not cells["chain"] or row.get(None):
            raise InputError(f"{path} line {rows.line_num}: expected an element and a chain, found {row}")
        parts = [cells[key] for key in ("model", "chain", "residues") if cells[key]]
        found.setdefault(cells["element"], []).append(":".join(parts))
    return found
