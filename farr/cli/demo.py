"""`farr demo`: real hospitals' data, real questions, in about a minute."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.figures import tables
from farr.texts import N_, _

if TYPE_CHECKING:
    from farr.demo.run import Course

app = typer.Typer(add_completion=False)

DEMO = N_(
    "Twelve real hospitals of the International Stroke Trial, each a process of its own on this machine, connected "
    "over mutual TLS: six questions beside their exact answers, a model trained, two refusals, and what it cost. Ends "
    "by itself.\n\n\b\n"
    "  farr demo\n"
    "  farr demo --lang zh --json demo.json\n"
    "  farr demo --keep"
)


@app.command(help=DEMO)
def demo(
    file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help=N_("Also write everything that was shown, for scripts.")),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help=N_("Leave the hospitals running at the end, to ask questions of your own."))
    ] = False,
) -> None:
    """Run the demo."""
    from farr.cli.demo_pages import Pages
    from farr.cli.training_pages import Watched
    from farr.demo import run
    from farr.lab.watchdog import Watch

    home = Path(tempfile.mkdtemp(prefix="farr-demo-")).resolve()
    pages, course, kept = Pages(), run.Course(), False
    try:
        # Whatever ends the demo, also a signal that cannot be caught, the watch stops what was started.
        with _terminated_like_interrupted(), Watch(home) as watch:
            pages.opening()
            with tables.Live.on_stderr(wanted=None, as_json=False) as live:
                course.start_seconds = run.start(
                    home,
                    watch,
                    lambda connected, of: live.say(
                        _("{connected} of {of} hospitals connected").format(connected=connected, of=of)
                    ),
                )
            run.ask_all(home, course, pages.told, Watched(wanted=None, as_json=False, resumable=False))
            if file is not None:
                _write(file, course, home if keep else None)
            if keep:
                watch.release()
                kept = True
    finally:
        if not kept:
            _clean(home)
    if kept:
        pages.kept(home)
    else:
        output.line(_("All processes have ended and the folder is gone."))


def _write(file: Path, course: Course, home: Path | None) -> None:
    plain = course.to_plain() | {"home": str(home) if home else None}
    file.write_text(json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=1) + "\n", encoding="utf-8")


def _clean(home: Path) -> None:
    """Stop what still runs, and remove the folder; a second Ctrl-C waits for it."""
    from farr.lab import record
    from farr.lab import up as labs

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if record.is_lab(home):
            labs.down(home)
        shutil.rmtree(home, ignore_errors=True)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, cleaning up."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
