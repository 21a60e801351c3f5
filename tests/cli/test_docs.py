"""Documentation that stays true: its command lines parse, the commands and options it names exist."""

import re
import shlex
from pathlib import Path

import pytest

from cryoscape.cli.app import command_app, parse
from cryoscape.cli.arguments import split_command, tidy
from cryoscape.cli.commands import BY_NAME, COMMANDS, FAMILIES, PLANNED

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]


def command_lines() -> list[str]:
    """Lines of code blocks that call the program, continued lines joined."""
    found = []
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        fenced = "\n".join(re.findall(r"^```\n(.*?)^```", text, re.M | re.S))
        found += re.findall(r"^cryoscape (.+)$", fenced, re.M)
        found += re.findall(r"^ {4}cryoscape (.+)$", text, re.M)
    return sorted(set(found))


def test_there_are_command_lines_to_check() -> None:
    assert len(command_lines()) > 15


@pytest.mark.parametrize("line", command_lines())
def test_a_command_line_of_the_documentation_parses(line: str) -> None:
    command, arguments = split_command(tidy(shlex.split(line)), FAMILIES)
    parse(command, arguments)


def test_every_command_is_documented_and_nothing_planned_is_there() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    headings = {name for line in re.findall(r"^## (.+)$", text, re.M) for name in line.split(", ")}
    assert headings - {"Of all commands"} == set(BY_NAME)
    assert not PLANNED & set(BY_NAME)


def test_options_named_in_a_section_exist() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    known = {"--help", "--relion31", "--enc_dim", "--load_latest"}
    for command in COMMANDS:
        arguments = command_app(command.name).assemble_argument_collection()
        known |= {name for argument in arguments for name in argument.names}
    named = set(re.findall(r"`(--[A-Za-z_-]+[0-9]*)", text))
    assert named - known == set()


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"
