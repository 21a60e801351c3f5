"""One self-contained page of a result: pictures, tables and facts in a single HTML file."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Literal

from cryoscape import __version__
from cryoscape.io.atomic import replace_when_done


@dataclass(frozen=True)
class ReportFigure:
    """A plot on white paper."""

    png: bytes = field(repr=False)
    caption: str
    width: Literal["half", "full", "tall"] = "half"


@dataclass(frozen=True)
class ReportText:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True)
class ReportFacts:
    """Names and values, shown as tiles."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class ReportTable:
    """A table; numbers are set right-aligned, long tables scroll."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]
    caption: str = ""
    swatches: Sequence[str] | None = None
    """CSS colour shown at the start of each row."""


@dataclass(frozen=True)
class ReportTile:
    """A transparent picture with a name and a caption."""

    png: bytes = field(repr=False)
    name: str
    caption: str = ""
    swatch: str | None = None


@dataclass(frozen=True)
class ReportGallery:
    """Tiles in a grid."""

    tiles: Sequence[ReportTile]


@dataclass(frozen=True)
class ReportMovie:
    """Frames of a motion: a large picture with a slider, above a strip of all the frames."""

    frames: Sequence[ReportTile]
    caption: str = ""


@dataclass(frozen=True)
class ReportCommands:
    """Tasks, each with the command line for it, set to be copied."""

    items: Sequence[tuple[str, str]]


Block = ReportFigure | ReportText | ReportFacts | ReportTable | ReportGallery | ReportMovie | ReportCommands


@dataclass(frozen=True)
class ReportSection:
    """A headed part of the page."""

    title: str
    blocks: Sequence[Block]


def write_report(path: Path, title: str, sections: Sequence[ReportSection], subtitle: str = "") -> Path:
    """Write the sections as one HTML page that needs no other file and no network.

    The page follows the reader's light or dark setting and the width of the screen; all texts are escaped.
    """
    page = report_html(title, sections, subtitle)
    with replace_when_done(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def report_html(title: str, sections: Sequence[ReportSection], subtitle: str = "") -> str:
    """The page as text; see `write_report`."""
    package = resources.files("cryoscape.workflows")
    style = package.joinpath("report.css").read_text(encoding="utf-8")
    script = package.joinpath("report.js").read_text(encoding="utf-8")
    shown = [s for s in sections if s.blocks]
    links = "".join(f'<a href="#s{i}">{_text(s.title)}</a>' for i, s in enumerate(shown))
    body = "".join(_section(i, s) for i, s in enumerate(shown))
    made = f"cryoscape {__version__}, {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{_text(title)}</title><style>{style}</style></head><body>"
        f"<header><h1>{_text(title)}</h1><p>{_text(subtitle)}</p></header><nav>{links}</nav>"
        f"<main>{body}</main><footer>{_text(made)}</footer><script>{script}</script></body></html>\n"
    )


def _section(number: int, section: ReportSection) -> str:
    return f'<section id="s{number}"><h2>{_text(section.title)}</h2>{_blocks(section.blocks)}</section>'


def _blocks(blocks: Sequence[Block]) -> str:
    """Blocks one after the other; neighbouring plots share a row."""
    parts: list[str] = []
    row: list[str] = []
    for block in [*blocks, None]:
        if isinstance(block, ReportFigure):
            row.append(_figure(block))
            continue
        if row:
            parts.append(f'<div class="plots">{"".join(row)}</div>')
            row = []
        if block is not None:
            parts.append(_block(block))
    return "".join(parts)


def _block(block: Block) -> str:
    match block:
        case ReportFigure():
            return _figure(block)
        case ReportText():
            return f"<p>{_text(block.text)}</p>"
        case ReportFacts():
            facts = (f"<div><dt>{_text(k)}</dt><dd>{_text(v)}</dd></div>" for k, v in block.items)
            return f'<dl class="facts">{"".join(facts)}</dl>'
        case ReportTable():
            return _table(block)
        case ReportGallery():
            return f'<div class="gallery">{"".join(_tile(t) for t in block.tiles)}</div>'
        case ReportMovie():
            return _movie(block)
        case ReportCommands():
            lines = (f"<dt>{_text(task)}</dt><dd><code>{_text(c)}</code></dd>" for task, c in block.items)
            return f'<dl class="commands">{"".join(lines)}</dl>'


def _figure(block: ReportFigure) -> str:
    return (
        f'<figure class="plot {block.width}"><img loading="lazy" alt="{_text(block.caption)}" '
        f'src="{_data(block.png)}"><figcaption>{_text(block.caption)}</figcaption></figure>'
    )


def _tile(tile: ReportTile) -> str:
    swatch = f'<i style="background:{_text(tile.swatch)}"></i>' if tile.swatch else ""
    return (
        f'<figure class="tile"><img alt="map {_text(tile.name)}" src="{_data(tile.png)}"><figcaption>'
        f"<b>{swatch}{_text(tile.name)}</b><span>{_text(tile.caption)}</span></figcaption></figure>"
    )


def _movie(block: ReportMovie) -> str:
    if not block.frames:
        return ""
    last = len(block.frames) - 1
    first = block.frames[0]
    return (
        '<div class="movie"><div class="stage">'
        f'<img alt="map {_text(first.name)}" src="{_data(first.png)}"><div class="controls">'
        '<button type="button" aria-label="Play or pause">Play</button>'
        f'<input type="range" min="0" max="{last}" value="0" aria-label="Frame">'
        f"<output>{_text(first.name)}</output></div>"
        f'<p class="caption">{_text(block.caption)}</p></div>'
        f'<div class="strip">{"".join(_tile(t) for t in block.frames)}</div></div>'
    )


def _table(block: ReportTable) -> str:
    first = block.rows[0] if block.rows else [""] * len(block.columns)
    head = "".join(
        f'<th class="{_cell_class(v)}">{_text(c)}</th>' for c, v in zip(block.columns, first, strict=True)
    )
    rows = []
    for i, row in enumerate(block.rows):
        swatch = f'<i style="background:{_text(block.swatches[i])}"></i>' if block.swatches else ""
        cells = "".join(
            f'<td class="{_cell_class(v)}">{swatch if j == 0 else ""}{_text(_number(v))}</td>'
            for j, v in enumerate(row)
        )
        rows.append(f"<tr>{cells}</tr>")
    caption = f"<caption>{_text(block.caption)}</caption>" if block.caption else ""
    return (
        f'<div class="table"><table>{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell_class(value: str | int | float) -> str:
    return "text" if isinstance(value, str) else "number"


def _number(value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,d}" if isinstance(value, int) else f"{value:.4g}"


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _text(text: str) -> str:
    return html.escape(text, quote=True)
