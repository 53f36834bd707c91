"""Runs a researcher's Flower app: its ServerApp in this process, each round of it a question to the hospitals."""

from __future__ import annotations

import importlib
import re
import secrets
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context, RecordDict
from flwr.serverapp import ServerApp
from numpy.typing import NDArray

from farr import files
from farr.errors import FarrError
from farr.flower import adapter, kept, settings
from farr.flower.grid import FarrGrid, run_number
from farr.flower.kept import Kept
from farr.flower.rounds import Rounds, Told
from farr.flower.settings import Plain, Settings
from farr.flower.strategies import only_linear
from farr.questions.asking import Terms
from farr.texts import _
from farr.training import runs
from queries.cost.accounting import rho_of, units

MODEL = "model.safetensors"
"""The last model of a run, in the run's folder."""

RUNS = kept.RUNS
"""The folder of an analyst's home in which runs are kept."""

Connect = Callable[[Settings, Kept], Rounds]
"""Makes a federation of an app and its run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What came of a run."""

    kept: Kept
    """Its rounds and what they cost."""
    model: Path | None
    """The last model, as arrays by name; None: no round gave one."""
    stopped: FarrError | None
    """Why it ended before the app did; None: the app ended by itself."""


def begin(
    folder: Path, home: Path, *, epsilon: float, rounds: int | None = None, config: str = "", terms: Terms | None = None
) -> tuple[Settings, Kept]:
    """Begin a run of the app in a folder; nothing is asked yet, and no code of the app is run.

    ``epsilon`` is the price of the whole run; ``rounds`` over how many questions it is divided, evaluations included
    (None: as the app says); ``config``: settings of the app to replace, in TOML. Of ``terms`` count purpose, reason,
    residence and patience. Raises FarrError.
    """
    terms = terms or Terms()
    app = settings.read(folder)
    chosen = settings.over(app.config, config)
    divided = app.rounds_of(chosen) if rounds is None else rounds
    if not 1 <= divided <= settings.MOST_ROUNDS:
        raise FarrError(
            "terms",
            _("{rounds} rounds").format(rounds=divided),
            remedy=_("give 1 to {most}").format(most=settings.MOST_ROUNDS),
        )
    identifier = secrets.token_hex(16)
    return app, Kept(
        folder=home / RUNS / identifier,
        id=identifier,
        number=run_number(),
        app=app.digest.hex(),
        name=app.name,
        config=chosen,
        rounds=divided,
        rho_units=units(rho_of(epsilon)),
        purpose=terms.purpose,
        reason=terms.reason,
        by_residence=terms.by_residence,
        patience=terms.patience,
    )


def resume(folder: Path, home: Path, identifier: str) -> tuple[Settings, Kept]:
    """Return a run that was broken off, by its id or the beginning of it; raise FarrError where its app has changed."""
    written = re.fullmatch(r"[0-9a-f]{1,32}", identifier.lower())
    places = (home / RUNS).glob(f"{identifier.lower()}*") if written else ()
    found = [each for each in places if (each / kept.FILE).is_file()]
    if len(found) != 1:
        raise FarrError(
            "no-run",
            _("no run of an app is called {id}").format(id=identifier)
            if not found
            else _("several runs begin with {id}").format(id=identifier),
            remedy=_("list them: farr models list"),
        )
    app, before = settings.read(folder), kept.read(found[0])
    if app.digest.hex() != before.app:
        raise FarrError(
            "not-repeated",
            _("the app is not the one that the run was begun with"),
            remedy=_("begin another run, or bring its files back"),
        )
    return app, before


def run(folder: Path, begun: tuple[Settings, Kept], connect: Connect, told: Told = lambda _progress: None) -> Ran:
    """Run an app to its end, or to where its price, the hospitals or the strategy it uses stop it.

    The ServerApp is the researcher's own code and runs with the researcher's own rights. Whatever ends the run, its
    last model is kept and what was spent is known; what the app itself raises is raised.
    """
    app, keeping = begun
    with runs.alone(keeping.folder):
        if (keeping.folder / kept.FILE).is_file():
            # Read only now: another process may just have taken it further.
            keeping = kept.read(keeping.folder)
        keeping.save()
        return _run(folder, app, keeping, connect, told)


def _run(folder: Path, app: Settings, keeping: Kept, connect: Connect, told: Told) -> Ran:
    # One model at a time: of a large one all rounds' together would not fit.
    last: deque[ArrayRecord] = deque(maxlen=1)
    stopped: FarrError | None = None
    with adapter.task(keeping.number), only_linear(last.append), _importable(folder, app.component):
        grid = FarrGrid(connect(app, keeping), app, keeping, config=keeping.config, told=told)
        server = _load(app.component)
        context = Context(
            run_id=keeping.number,
            node_id=grid.run.run_id,
            node_config={},
            state=RecordDict(),
            run_config=dict(keeping.config),
        )
        try:
            server(grid, context)
        except FarrError as error:
            stopped = error
        finally:
            model = _keep(keeping.folder / MODEL, last[-1] if last else None)
    return Ran(kept=keeping, model=model, stopped=stopped)


@contextmanager
def _importable(folder: Path, component: str) -> Iterator[None]:
    """Let the app's own modules be imported, from nowhere else, and forget them afterwards."""
    place, package = str(folder.resolve()), component.partition(":")[0].partition(".")[0]
    _forget(package)
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)
        _forget(package)


def _forget(package: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


def _load(component: str) -> ServerApp:
    module, name = component.split(":")
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise FarrError(
            "app", _("the ServerApp {name} cannot be loaded: {error}").format(name=component, error=error)
        ) from error
    if not isinstance(found, ServerApp):
        raise FarrError("app", _("{name} is no ServerApp").format(name=component))
    if not adapter.has_main(found):
        raise FarrError(
            "app",
            _("the ServerApp {name} is of Flower's older kind: its strategies see every reply").format(name=component),
            remedy=_("write it with @app.main() and flwr.serverapp.strategy"),
        )
    return found


def _keep(path: Path, arrays: ArrayRecord | None) -> Path | None:
    if arrays is None:
        return path if path.exists() else None
    from safetensors.numpy import save

    plain: Mapping[str, NDArray[np.generic]] = {
        name: np.ascontiguousarray(array.numpy()) for name, array in arrays.items()
    }
    files.replace(path, save(dict(plain)))
    return path


__all__ = ["MODEL", "RUNS", "Plain", "Ran", "begin", "resume", "run"]
