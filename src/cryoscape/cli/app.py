"""The command line: which command is meant, its arguments, and how it ends. Imports no science."""

import sys
from collections.abc import Callable, Sequence
from inspect import BoundArguments
from typing import Any

from cyclopts import App, CycloptsError, Group, Parameter

from cryoscape import __version__
from cryoscape.cli.arguments import split_command, tidy
from cryoscape.cli.commands import BY_NAME, COMMANDS, FAMILIES
from cryoscape.cli.failures import exit_code
from cryoscape.cli.logs import be_verbose, log_to_stderr
from cryoscape.cli.messages import UsageError, describe, unknown_command

_ABOUT = """Structural ensembles from single-particle cryo-EM images.

A latent space, density maps of the states in it, and the particles behind each.
`cryoscape COMMAND --help` shows the options of a command, with an example.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; answers its exit code (see `failures.exit_code`) and lets no exception through.

    Parameters
    ----------
    argv
        Arguments without the program's name; by default those of the process.
    """
    command, arguments = split_command(tidy(sys.argv[1:] if argv is None else argv), FAMILIES)
    try:
        with log_to_stderr():
            function, bound = parse(command, arguments)
            if bound.arguments.get("verbose"):
                be_verbose()
            function(*bound.args, **bound.kwargs)
            sys.stdout.flush()
    except BaseException as error:
        return exit_code(error, command if command in BY_NAME else None, arguments)
    return 0


def parse(command: str | None, arguments: Sequence[str]) -> tuple[Callable[..., Any], BoundArguments]:
    """Function to call and its arguments, for a command (None: options of the program itself).

    Raises
    ------
    UsageError
        If there is no such command, or its arguments do not fit.
    """
    if command in FAMILIES and "--help" in arguments:
        app = program(command)
    elif command is None:
        app = program()
    elif command in BY_NAME:
        app = command_app(command)
    else:
        raise unknown_command(command)
    try:
        function, bound, _ = app.parse_args(list(arguments), print_error=False, exit_on_error=False)
    except CycloptsError as error:
        if command is None:
            raise UsageError(f"unknown option {arguments[0]}; see cryoscape --help") from error
        raise describe(error, command) from error
    return function, bound


def program(family: str | None = None) -> App:
    """The program without a command: lists the commands, or those of a family, and imports none."""
    name, about = ("cryoscape", _ABOUT) if family is None else (f"cryoscape {family}", FAMILIES[family])
    app = App(name=name, help=about, help_format="plaintext", version=__version__)
    options = Group("Options", sort_key=99)
    for flag in ("--help", "--version"):
        app[flag].group = (options,)
    headings = {
        name: Group(name, sort_key=i) for i, name in enumerate(dict.fromkeys(c.group for c in COMMANDS))
    }
    for place, command in enumerate(COMMANDS):
        if family is not None and command.family != family:
            continue
        app.command(
            command.target,
            name=command.name if family is None else command.name.removeprefix(f"{family} "),
            help=command.summary,
            group=headings[command.group],
            sort_key=place,
        )
    return app


def command_app(name: str) -> App:
    """The parser of one command, made from the signature and docstring of its function."""
    app = App(
        name=f"cryoscape {name}",
        help_format="markdown",
        version_flags=(),
        default_parameter=Parameter(negative=(), show_default=_shown_default),
    )
    app["--help"].show = False
    app.default(BY_NAME[name].load())
    return app


def _shown_default(value: Any) -> str | None:
    """Default as it would be typed; None (nothing is shown) for flags and for what the help text tells."""
    if value is None or value is False:
        return None
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return " ".join(str(_shown_default(item)) for item in value)
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
