"""Where a request is on its way, as the coordinator reports it, in words for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from farr.errors import FarrError
from farr.problems import advice
from farr.texts import N_, _
from protocols.codes import ADVICE
from protocols.wire_pb2 import RequestStatus, Run, State
from queries.cost.accounting import epsilon_of, rho_of_units

FINAL = (State.STATE_ANSWERED, State.STATE_FAILED, State.STATE_CANCELLED, State.STATE_EXPIRED)
"""A request in one of these states changes no more."""

PASSING = ("unreachable", "connection", "not-accepted", "unavailable")
"""Codes of failures that may pass, such as a coordinator that is being restarted."""

WORDS = {
    "waiting": N_("waiting for hospitals"),
    "running": N_("running"),
    "answered": N_("answered"),
    "failed": N_("failed"),
    "cancelled": N_("cancelled"),
    "expired": N_("expired"),
}
"""States for people."""

_STATES = {name: cast("State", State.Value(f"STATE_{name.upper()}")) for name in WORDS}

DAY, HOUR, MINUTE = 24 * 3600, 3600, 60

SITE_WORDS = {
    "connected": N_("connected"),
    "offline": N_("not connected"),
    "held": N_("waits for approval"),
    "paused": N_("paused"),
    "asked": N_("asked, has not answered"),
    "answered": N_("answered"),
}
"""What a hospital does with a request, for people; else the code with which it refused."""

_NO_REFUSALS = tuple(word for word in SITE_WORDS if word != "paused")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """Which round of which run of training a request is."""

    id: str
    """Of the run, hex."""
    round: int
    """1, 2, 3 and so on."""
    rounds: int
    """Most rounds of the run."""
    rho_units: int
    """Most that the whole run costs, in ledger units."""

    def in_words(self) -> str:
        """Return it for people, in the language in use."""
        return _("round {round} of {rounds} of run {id}").format(round=self.round, rounds=self.rounds, id=self.id[:8])

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {"id": self.id, "round": self.round, "rounds": self.rounds, "rho_units": self.rho_units}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestState:
    """A request at one moment."""

    id: str
    """Hex."""
    state: str
    """``waiting``, ``running``, ``answered``, ``failed``, ``cancelled`` or ``expired``."""
    statement: str
    """As it was typed."""
    purpose: str
    """What it is for, a name from the analyst's mandate."""
    reason: str
    """Why it was asked, in the analyst's words."""
    rho_units: int
    """Its price, in ledger units."""
    created_at: int
    """Seconds since 1970, UTC."""
    expires_at: int
    """Seconds since 1970, UTC."""
    asked: int
    """Hospitals asked."""
    connected: int
    """Of these, how many are there."""
    answered: int
    """Of these, how many have answered."""
    held: int
    """While it waits: how many hospitals somebody has to approve it at."""
    needed: int
    """How many must."""
    sites: dict[str, str]
    """By hospital: ``connected``, ``offline``, ``paused``, ``held``, ``asked``, ``answered``, or the code with which it
    refused; one that is paused while a request waits may yet be back."""
    references: dict[str, str]
    """By hospital that refused: what its operator finds the reason under."""
    code: str
    """Why it failed; empty where it did not."""
    release: str
    """Id of the release that answers it, hex; empty where there is none."""
    reused: bool
    """Whether that release had answered the same question before, so this one cost nothing."""
    run: RunState | None = None
    """Which round of training it is; None: none."""
    queued: bool = False
    """While it waits: whether it is for a place among the rounds that are open, not for hospitals."""

    @property
    def refusals(self) -> dict[str, tuple[str, ...]]:
        """Return the hospitals that refused, by code."""
        codes = sorted({state for state in self.sites.values() if state not in _NO_REFUSALS})
        return {code: tuple(site for site, state in self.sites.items() if state == code) for code in codes}

    @property
    def paused(self) -> tuple[str, ...]:
        """Return the hospitals whose operators have paused them: while it waits, the minimum is sought without them."""
        return tuple(site for site, state in self.sites.items() if state == "paused")

    @property
    def waited_for(self) -> tuple[str, ...]:
        """Return the hospitals that are to answer and have not, or that the request waits for."""
        wanted = ("asked",) if self.state == "running" else ("offline",)
        return tuple(site for site, state in self.sites.items() if state in wanted)

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {
            "id": self.id,
            "state": self.state,
            "statement": self.statement,
            "purpose": self.purpose,
            "reason": self.reason,
            "rho_units": self.rho_units,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "asked": self.asked,
            "connected": self.connected,
            "answered": self.answered,
            "held": self.held,
            "needed": self.needed,
            "sites": self.sites,
            "references": self.references,
            "code": self.code,
            "release": self.release,
            "reused": self.reused,
            "run": None if self.run is None else self.run.to_plain(),
            "queued": self.queued,
        }


def named(names: Iterable[str]) -> list[State]:
    """Return states by their names; raise FarrError for a name that is none's."""
    try:
        return [_STATES[name] for name in names]
    except KeyError as error:
        raise FarrError(
            "unknown-state",
            _("{name} is not a state of a request").format(name=error.args[0]),
            remedy=_("the states are: {names}").format(names=", ".join(WORDS)),
        ) from None


def read(status: RequestStatus) -> RequestState:
    """Return what a status message says."""
    return RequestState(
        id=status.id.hex(),
        state=State.Name(status.state).removeprefix("STATE_").lower(),
        statement=status.statement,
        purpose=status.purpose,
        reason=status.reason,
        rho_units=status.rho_units,
        created_at=status.created_at,
        expires_at=status.expires_at,
        asked=status.asked,
        connected=status.connected,
        answered=status.answered,
        held=status.held,
        needed=status.needed,
        sites={site.site: site.state for site in status.sites},
        references={site.site: site.reference for site in status.sites if site.reference},
        code=status.code,
        release=status.release.hex(),
        reused=status.reused,
        run=_run(status.run) if status.HasField("run") else None,
        queued=status.queued,
    )


def _run(run: Run) -> RunState:
    return RunState(id=run.id.hex(), round=run.round, rounds=run.rounds, rho_units=run.rho_units)


def in_words(state: RequestState, now: float) -> str:
    """Return where a request stands, for people: of one that waits, for whom or what and for how long."""
    if state.reused:
        return _("answered before, at no cost")
    if state.state != "waiting":
        return _(WORDS[state.state])
    since = age(now - state.created_at)
    if state.held:
        return _("waits for approval at {held} of {asked} hospitals, {age}").format(
            held=state.held, asked=state.asked, age=since
        )
    if state.queued:
        return _("waiting for its turn, {age}").format(age=since)
    text = _("waiting for hospitals: {connected} of {asked} connected, {needed} needed, {age}").format(
        connected=state.connected, asked=state.asked, needed=state.needed, age=since
    )
    return text + (_("; {count} paused").format(count=len(state.paused)) if state.paused else "")


def age(seconds: float) -> str:
    """Return how long something has lasted, in its largest unit of which there are two."""
    if seconds >= 2 * DAY:
        return _("{count} days").format(count=int(seconds // DAY))
    if seconds >= 2 * HOUR:
        return _("{count} hours").format(count=int(seconds // HOUR))
    return _("{count} min").format(count=max(0, int(seconds // MINUTE)))


def failure(state: RequestState) -> FarrError:
    """Return the error of a request that ended without an answer: how many answered, who refused and why.

    Where refusals for one reason made the minimum impossible, that reason is the error's code.
    """
    code = state.code or state.state
    hopeless = state.state == "failed" and state.asked - sum(map(len, state.refusals.values())) < state.needed
    if hopeless and len(state.refusals) == 1:
        code = next(iter(state.refusals))
    if state.state in {"failed", "expired"}:
        lines = [
            _("{answered} of {asked} hospitals answered, {needed} needed").format(
                answered=state.answered, asked=state.asked, needed=state.needed
            )
        ]
    else:
        lines = [advice(code) if code in ADVICE else _(WORDS[state.state])]
    for refusal, sites in state.refusals.items():
        lines.append(
            _("{count} refused ({code}): {advice}: {sites}").format(
                count=len(sites), code=refusal, advice=advice(refusal), sites=shortened(sites)
            )
        )
    if "cost-limit" in {code, *state.refusals} and state.run is None:
        # Asked for a precision, nobody may have seen the price.
        lines.append(_("asked at epsilon {epsilon:.3g}").format(epsilon=epsilon_of(rho_of_units(state.rho_units))))
    held = tuple(site for site, word in state.sites.items() if word == "held")
    if held:
        lines.append(_("still waiting for approval: {sites}").format(sites=shortened(held)))
    offline = tuple(site for site, word in state.sites.items() if word == "offline")
    silent = tuple(site for site, word in state.sites.items() if word == "asked")
    if offline:
        lines.append(_("not connected: {sites}").format(sites=shortened(offline)))
    if silent and hopeless:
        lines.append(_("not waited for, since the minimum was out of reach: {sites}").format(sites=shortened(silent)))
    elif silent:
        lines.append(_("did not answer in time: {sites}").format(sites=shortened(silent)))
    return FarrError(
        code,
        "\n".join(lines),
        # Refused for different reasons: to ask again later helps against none of them.
        remedy=_("; ").join(filter(None, map(_remedy, state.refusals if hopeless else ()))) or _remedy(code),
        details={"request": state.to_plain(), "refusals": {name: list(who) for name, who in state.refusals.items()}},
    )


def shortened(names: Sequence[str], most: int = 8) -> str:
    """Return names in a line, the rest as a number."""
    more = _(" and {count:,} more").format(count=len(names) - most) if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _remedy(code: str) -> str:
    if code == "policy":
        return _(
            "ask for less at once, at a lower price (--epsilon) or with more fear of collusion (--trust); or tell "
            "fewer hospitals apart (GROUP BY site, site.*), which each hospital's own_row has to allow; hospitals that "
            "joined a short time ago may not count yet: their operators see why with farr node policy explain"
        )
    if code == "cost-limit":
        return _("ask at a lower price (--epsilon), or have the hospitals' policies allow more for one question")
    if code == "budget":
        return _("see `farr budget`; an answer that was released before is free: `farr releases list`")
    if code in {"interrupted", "bad-sum"}:
        return _("ask again; that is a new question with a new charge")
    if code == "denied":
        return _("ask the hospitals' operators, who find the request under its id: farr node approvals list --all")
    if code == "paused":
        return _("ask again when its operator has ended the pause, or now with a lower --minimum")
    if code == "too-few":
        return _("ask again later, or with a lower --minimum")
    return ""
