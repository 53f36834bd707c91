"""The command `farr`: which commands there are, languages, exit codes and how errors are shown.

Each command's module is imported when it is called, so `farr --help` and a question do not pay for the rest.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import typer
import typer.core
import typer.main

from farr import texts
from farr.cli import help_pages
from farr.texts import N_, _

ASK, HOSPITALS, RUN = N_("Ask"), N_("Hospitals and members"), N_("Try out")

COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "query": ("farr.cli.query", N_("Ask the hospitals a question in SQL."), ASK),
    "indicators": ("farr.cli.indicators", N_("Indicators of every month, as one signed pack: list, run."), ASK),
    "train": ("farr.cli.train", N_("Train a model over the hospitals, or run a Flower app."), ASK),
    "models": ("farr.cli.models", N_("Models that were trained: list, show, save."), ASK),
    "requests": ("farr.cli.requests", N_("Questions under way: list, show, wait, cancel."), ASK),
    "releases": ("farr.cli.releases", N_("Answers given so far: list, show."), ASK),
    "audit": ("farr.cli.audit", N_("What proves an answer, checked without asking anybody: export, verify."), ASK),
    "catalogue": ("farr.cli.catalogue", N_("What may be asked: tables, columns, codes."), ASK),
    "budget": ("farr.cli.budget", N_("What each hospital may still release."), ASK),
    "join": ("farr.cli.join", N_("Join a federation as an analyst, with a token from its registrar."), ASK),
    "renew": ("farr.cli.renew", N_("Renew your certificate as an analyst, in place."), ASK),
    "registrar": ("farr.cli.registrar", N_("Admit and remove members: init, token, admit, roster, revoke."), HOSPITALS),
    "coordinator": (
        "farr.cli.coordinator",
        N_("Run the service that convenes the hospitals: init, serve, renew."),
        HOSPITALS,
    ),
    "node": (
        "farr.cli.node",
        N_("Run a hospital's own service: join, serve, status, check, policy, ledger, audit."),
        HOSPITALS,
    ),
    "lab": ("farr.cli.lab", N_("A whole federation on this machine: up, down, status."), RUN),
    "demo": ("farr.cli.demo", N_("Real hospitals' data, real questions, in about a minute."), RUN),
}
"""By name: the module whose ``app`` it is, what it does, and where it stands in the help."""

REFUSED, MISUSED, INTERRUPTED = 1, 2, 130


class _OnDemand(dict[str, click.Command]):
    """The commands by name, each imported when it is looked up."""

    def __missing__(self, name: str) -> click.Command:
        module, _text, _panel = COMMANDS[name]
        command = typer.main.get_command(importlib.import_module(module).app)
        command.name = name
        _translate(command)
        self[name] = command
        return command

    def get(self, name: str, default: Any = None) -> Any:
        """Return the command called ``name``."""
        return self[name] if name in COMMANDS else default

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Named(click.Command):
    """A command as the list of commands shows it; becomes the real one when it is called."""

    def __init__(self, name: str, commands: Mapping[str, click.Command]) -> None:
        _module, text, panel = COMMANDS[name]
        super().__init__(name, help=_(text), short_help=_(text))
        self.rich_help_panel = _(panel)
        self.commands = commands

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments with the real command, which the context then holds."""
        return self.commands[str(self.name)].make_context(info_name, args, parent, **extra)


class Commands(typer.core.TyperGroup):
    """The group of all commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _OnDemand()

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a stand-in that imports nothing until it is called."""
        return _Named(cmd_name, self.commands) if cmd_name in COMMANDS else None


app = typer.Typer(
    cls=Commands,
    name="farr",
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)

OVERVIEW = N_(
    "Ask many hospitals one question. No record leaves a hospital: each adds noise to its part of the answer, and only "
    "their sum is seen.\n\nTry it on this machine with real data: `farr demo`."
)


def _version(wanted: bool) -> None:
    if wanted:
        from farr import __version__

        typer.echo(f"farr {__version__}")
        raise typer.Exit


_VERSION = typer.Option(
    False,  # noqa: FBT003 - the default of a flag
    "--version",
    callback=_version,
    is_eager=True,
    help=N_("Print the version and end."),
)


@app.callback(help=OVERVIEW)
def _root(
    lang: str = typer.Option(
        "", "--lang", metavar="en|zh", help=N_("Language of texts; else FARR_LANG or the locale.")
    ),
    version: bool = _VERSION,
) -> None:
    """Take the options that every command has."""


def run() -> None:
    """Run the command line of this process and end it with the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # An answer that was paid for is printed also where the terminal's encoding lacks a sign of it.
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
    sys.exit(main(sys.argv[1:], os.environ))


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one command; return 0 on success, 1 on a refusal or failure, 2 on a usage error, 130 when interrupted."""
    as_json = "--json" in arguments
    try:
        arguments = _choose_language(arguments, environment)
        root = typer.main.get_command(app)
        _translate(root)
        code = root.main(args=list(arguments), prog_name="farr", standalone_mode=False)
        _flush()
    except click.UsageError as error:
        return _misused(error, as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write(_("Interrupted.") + "\n")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        _give_up_output()
        return REFUSED
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        # By which Python stands for bytes that are no text, and nothing but what was typed or piped in holds such.
        return _misused(click.UsageError(_("what was written is not text in UTF-8")), as_json=as_json)
    except Exception as error:  # noqa: BLE001 - unexpected ones are raised again there
        return _refused(error, as_json=as_json)
    return code if isinstance(code, int) else 0


def _flush() -> None:
    """Write what is left of the output now: at the end of the process Python would complain with a code of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        _give_up_output()
        raise


def _give_up_output() -> None:
    # Python would complain once more when it closes the stream.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _choose_language(arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Take ``--lang`` out of the arguments wherever it stands, and speak that language."""
    left, chosen, given = list(arguments), "", list(arguments)
    end = given.index("--") if "--" in given else len(given)
    for position in reversed(range(end)):
        if given[position] == "--lang":
            chosen, left[position : position + 2] = " ".join(given[position + 1 : position + 2]), []
        elif given[position].startswith("--lang="):
            chosen, left[position : position + 1] = given[position].removeprefix("--lang="), []
        else:
            continue
        if chosen not in texts.LANGUAGES:
            texts.use(texts.preferred(environment))
            raise click.UsageError(_("--lang takes en or zh"))
    texts.use(chosen or texts.preferred(environment))
    return left


def _translate(command: click.Command) -> None:
    """Put the help of a command, its options and its subcommands into the language in use."""
    for name in ("help", "short_help", "epilog"):
        if text := getattr(command, name, None):
            setattr(command, name, _(text))
    command.format_help = help_pages.whole(command.format_help)  # type: ignore[assignment,method-assign]
    for parameter in command.params:
        if isinstance(parameter, (typer.core.TyperOption, typer.core.TyperArgument)) and parameter.help:
            parameter.help = help_pages.literal(_(parameter.help))
    if isinstance(command, click.Group) and not isinstance(command, Commands):
        for inner in command.commands.values():
            _translate(inner)


def _misused(error: click.UsageError, *, as_json: bool) -> int:
    if as_json:
        problem = {"error": {"code": "usage", "message": error.format_message(), "remedy": ""}}
        sys.stdout.write(json.dumps(problem, ensure_ascii=False) + "\n")
    else:
        error.show()
    return MISUSED


def _refused(error: Exception, *, as_json: bool) -> int:
    from farr.problems import problem_of

    problem = problem_of(error)
    if problem is None:
        raise error
    if as_json:
        sys.stdout.write(json.dumps(problem.to_plain(), ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(problem.to_text() + "\n")
    return REFUSED
