"""What is kept of a Flower run: its price, and each round's request, written before anything that follows from it.

A run that was broken off is begun anew with the same app: rounds that were asked already are not asked again, their
verified releases are handed to the app once more. So an app can be resumed if it sends the same when it sees the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from farr import files
from farr.errors import FarrError
from farr.questions.asking import Terms
from farr.questions.mandated import PATIENCE
from farr.texts import _
from farr.training.budget import check_price
from farr.training.strict import WRONG, made, texts

if TYPE_CHECKING:
    # Flower is an extra, and a run that was kept can be listed without it.
    from farr.flower.rounds import Outcome, Round

RUNS: Final = "app-runs"
"""The folder of an analyst's home in which runs are kept."""

FILE: Final = "app.json"
FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRound:
    """One round that was asked."""

    number: int
    kind: str
    message: str
    """SHA-256 of what the hospitals were sent, in hex."""
    sites: tuple[str, ...]
    request: str
    """Id of the request, in hex."""
    present: tuple[str, ...] = ()
    """The hospitals that the app was told are connected, before it asked the round."""
    state: str = "asked"
    """``asked``, ``answered``, ``late`` or ``failed``."""
    rho_units: int = 0
    """What each hospital was charged for it, in ledger units; of one that failed, at most so much."""
    release: str = ""
    answered: tuple[str, ...] = ()
    noise: float = 0.0


@dataclass(kw_only=True)
class Kept:
    """A run, and where it is kept."""

    folder: Path
    """Its own."""
    id: str
    """16 random bytes, in hex."""
    number: int
    """By which Flower knows it."""
    app: str
    """SHA-256 of the app's code, in hex."""
    name: str
    """The app's."""
    config: dict[str, bool | int | float | str]
    """The configuration of the run."""
    rounds: int
    """Questions over which the price is divided."""
    rho_units: int
    """Most that the whole run costs."""
    done_rounds: list[KeptRound] = field(default_factory=list)
    """Asked so far, in order."""
    purpose: str = ""
    """What every round is asked for: a name from the analyst's mandate; empty: what goes without saying."""
    reason: str = ""
    """Why, in the analyst's words; hospitals see it."""
    by_residence: bool = False
    """Whether the mandate's regions are where patients live, not where hospitals are."""
    patience: int = PATIENCE
    """Seconds for which hospitals that hold a round for approval are waited for."""

    @property
    def terms(self) -> Terms:
        """Return how each round is asked, but for its price: never answered from earlier releases.

        Guarantee: a run that is taken up is asked for the purpose, and with the reason, that hospitals approved. Test:
        tests/farr/test_flower_grid.py::test_a_run_of_an_app_goes_on_as_it_was_begun.
        """
        return Terms(
            purpose=self.purpose,
            reason=self.reason,
            by_residence=self.by_residence,
            patience=self.patience,
            fresh=True,
        )

    @property
    def share(self) -> int:
        """Return the price of a round, in ledger units."""
        return self.rho_units // self.rounds

    @property
    def spent_units(self) -> int:
        """Return what rounds have cost so far; one that nobody answered in time counts as if all hospitals had."""
        known = ("answered", "failed")
        return sum(each.rho_units if each.state in known else self.share for each in self.done_rounds)

    def save(self) -> None:
        """Write the run's file, for its owner only."""
        files.make_folder(self.folder)
        kept = {"format": FORMAT, **{key: value for key, value in asdict(self).items() if key != "folder"}}
        files.replace(self.folder / FILE, json.dumps(kept, indent=1).encode())

    def check_affordable(self, number: int) -> None:
        """Raise FarrError before a round that the run's price does not cover.

        Guarantee: no round is asked whose price and that of those before would exceed the run's. Test:
        tests/farr/test_flower_grid.py::test_a_run_stops_before_the_round_that_would_exceed_its_price.
        """
        if number > self.rounds:
            raise FarrError(
                "run-over",
                _("the price of the run is for {rounds} rounds, and the app asks for another").format(
                    rounds=self.rounds
                ),
                remedy=_("begin another run with --rounds for all that the app asks: evaluations count too"),
            )
        check_price(self.spent_units, self.share, self.rho_units)

    def present_at(self, number: int) -> tuple[str, ...]:
        """Return the hospitals that were connected when a round was asked; empty where it was not, or failed."""
        return next((each.present for each in self.done_rounds if each.number == number and each.state != "failed"), ())

    def round_of(self, asked: Round) -> KeptRound | None:
        """Return a round that was asked already; None where it was not, or failed. Raise FarrError where it differs."""
        for each in self.done_rounds:
            if each.number != asked.number or each.state == "failed":
                continue
            if (each.message, each.sites) != (asked.sent.digest.hex(), asked.sites):
                raise FarrError(
                    "not-repeated",
                    _("round {number} of the app is another one than when the run was begun").format(
                        number=asked.number
                    ),
                    remedy=_("give its random numbers a seed, or begin another run"),
                )
            return each
        return None

    def add(self, asked: Round, request: bytes, present: tuple[str, ...]) -> KeptRound:
        """Keep that a round is about to be asked, when these hospitals are connected."""
        added = KeptRound(
            number=asked.number,
            kind=asked.sent.kind,
            message=asked.sent.digest.hex(),
            sites=asked.sites,
            request=request.hex(),
            present=present,
        )
        self.done_rounds.append(added)
        self.save()
        return added

    def done(self, request: bytes, outcome: Outcome) -> None:
        """Keep what came of a round."""
        self._change(
            request,
            state="answered",
            rho_units=outcome.rho_units,
            release=outcome.release,
            answered=outcome.answered,
            noise=outcome.noise,
        )

    def refused(self, request: bytes) -> None:
        """Forget a round that was refused before any hospital heard of it."""
        self.done_rounds = [each for each in self.done_rounds if each.request != request.hex()]
        self.save()

    def late(self, request: bytes) -> None:
        """Keep that a round was given up."""
        self._change(request, state="late")

    def failed(self, request: bytes, *, charged: bool) -> None:
        """Keep that a round ended without an answer: asked again it is another request, and paid for again."""
        self._change(request, state="failed", rho_units=self.share if charged else 0)

    def _change(self, request: bytes, **changes: Any) -> None:
        self.done_rounds = [
            replace(each, **changes) if each.request == request.hex() else each for each in self.done_rounds
        ]
        self.save()


def read(folder: Path) -> Kept:
    """Read a run that was kept; raise FarrError where there is none."""
    try:
        kept = json.loads((folder / FILE).read_text("utf-8"))
        # Of another format, there is an argument that Kept does not take.
        if kept["format"] == FORMAT:
            del kept["format"]
        rounds = [
            made(
                KeptRound,
                each,
                sites=texts(each["sites"]),
                answered=texts(each["answered"]),
                present=texts(each.get("present", [])),
                noise=float(each["noise"]),
            )
            for each in kept["done_rounds"]
        ]
        found = made(Kept, kept, folder=folder, config=dict(kept["config"]), done_rounds=rounds)
        if found.id != folder.name or found.rounds < 1:
            raise ValueError(found.id)
    except (OSError, *WRONG):
        raise FarrError(
            "no-run", _("no run of an app is kept in {folder}").format(folder=folder), remedy=_("name its id")
        ) from None
    return found


def every(home: Path, damaged: Callable[[FarrError], None] = lambda _error: None) -> tuple[Kept, ...]:
    """Return the runs that were begun from a home, newest first; ``damaged`` hears of those that cannot be read."""
    found = []
    for path in (home / RUNS).glob(f"*/{FILE}"):
        try:
            found.append(read(path.parent))
        except FarrError as error:
            damaged(error)
    return tuple(sorted(found, key=lambda run: -run.number))


def refuse(home: Path, identifier: str) -> None:
    """Raise FarrError where an id, or the beginning of it, is of a run of an app, which is no run of a model."""
    for run in every(home):
        if run.id.startswith(identifier.lower()):
            raise FarrError(
                "app-run",
                _("{id} is a run of the Flower app {name}: its last model and its rounds are in {folder}").format(
                    id=run.id[:8], name=run.name, folder=run.folder
                ),
                remedy=_("take it up with: farr train --app DIR --resume {id}").format(id=run.id[:8]),
            )
