"""Flower's Grid over Farr: each round of messages is one question, and every reply is what came of it."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from farr.errors import FarrError
from farr.flower import adapter
from farr.flower.kept import Kept
from farr.flower.messages import Sent, largest, reply, sent, undeclared
from farr.flower.rounds import Outcome, Progress, Round, RoundFailedError, RoundRefusedError, Rounds, Told
from farr.flower.settings import Plain, Settings
from farr.texts import _
from protocols.request import ID_BYTES

POLL = 0.2
"""Seconds for which a pull waits before it says that nothing is there yet."""


@dataclass(kw_only=True)
class _Open:
    """A round under way."""

    round: Round
    messages: dict[str, Message]
    """Not pulled yet, by their ids."""
    request: bytes
    held: bool = False
    """Whether it was told that hospitals hold it for approval."""


class FarrGrid(Grid):
    """Hands a ServerApp's messages to hospitals, and the noised mean of their replies back as every reply.

    Guarantee: what a ServerApp sees of a round is a function of its verified release and of what it sent: no reply of a
    single hospital exists here. Test: tests/farr/test_flower_grid.py::test_every_reply_of_a_round_is_the_same_mean.
    """

    def __init__(
        self, rounds: Rounds, settings: Settings, kept: Kept, *, config: Mapping[str, Plain], told: Told
    ) -> None:
        """Begin a run; ``kept`` remembers its rounds, those of an earlier attempt as well. Asks nothing yet."""
        self._rounds, self._settings, self._kept, self._told = rounds, settings, kept, told
        self._config = dict(config)
        self._number = self._pushed = 0
        self._present: tuple[str, ...] = ()
        self._open: list[_Open] = []
        self._ready: dict[str, Message] = {}
        self._sites: dict[int, str] = {}
        self._run = adapter.empty_run(kept.number)

    # --- what Flower asks of a grid

    def set_run(self, run: adapter.Run) -> None:
        """Take another run's description; its number stays that of Farr's run."""
        self._run = run

    @property
    def run(self) -> adapter.Run:
        """Return what Flower calls the run."""
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Make a message to a hospital."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Return the numbers of the hospitals that have such records and are connected.

        Before a round that was asked in an earlier attempt, those that were connected then: an app sends what it sent
        only where it sees what it saw.
        """
        there = self._rounds.hospitals()
        connected = tuple(site for site, is_connected in sorted(there.items()) if is_connected)
        self._present = self._kept.present_at(self._number + 1) or connected
        self._sites = {node_id(site): site for site in sorted({*there, *self._present})}
        return [number for number, site in self._sites.items() if site in self._present]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Ask one round: all messages that a ServerApp wants answered together. Returns their ids, in order.

        Where it raises, the round may be pushed again: it is the same one, and nobody is asked or charged twice.
        """
        pushed = list(messages)
        self._pushed += 1
        identifiers = [f"{self._pushed:04d}-{message.metadata.dst_node_id:016x}" for message in pushed]
        if len(set(identifiers)) < len(identifiers):
            raise FarrError(
                "app", _("two messages to one hospital in one round"), remedy=_("send each hospital one message")
            )
        for identifier, message in zip(identifiers, pushed, strict=True):
            adapter.name_message(message, identifier)
        if pushed:
            self._begin(dict(zip(identifiers, pushed, strict=True)))
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies that are there to these messages, each once; wait a moment for those under way."""
        wanted = list(message_ids)
        for each in [each for each in self._open if not each.messages.keys().isdisjoint(wanted)]:
            self._collect(each, POLL, late_is_over=False)
        return [self._ready.pop(identifier) for identifier in wanted if identifier in self._ready]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Ask one round and wait for it; after ``timeout`` seconds it is given up, and nobody has replied.

        The time in which hospitals hold the round for approval does not count.
        """
        identifiers = self.push_messages(messages)
        for each in [each for each in self._open if not each.messages.keys().isdisjoint(identifiers)]:
            self._collect(each, timeout, late_is_over=True)
        return [self._ready.pop(identifier) for identifier in identifiers if identifier in self._ready]

    # --- a round

    def _begin(self, messages: dict[str, Message]) -> None:
        several = list(messages.values())
        first, number = several[0], self._number + 1
        if undeclared(first, self._settings.declared):
            self._skip(messages)
            return
        content = sent(several, self._config, self._settings.declared)
        clip = self._settings.clip if content.kind == "train" else largest(content)
        asked = Round(number=number, sent=content, clip=clip, sites=self._asked(several))
        before = self._kept.round_of(asked)
        if before is not None and before.state == "late":
            self._number = number
            return
        try:
            # Also where it was kept: the process may have ended between the two, and no request is made twice of one
            # id.
            request = self._ask(asked, None if before is None else bytes.fromhex(before.request))
        except RoundRefusedError as error:
            if before is None or error.code != "expired":
                raise
            # It was kept, never taken, and is too old to be: no hospital has heard of it.
            request = self._ask(asked, None)
        self._say(content, "asked", number, len(asked.sites))
        self._number = number
        self._open.append(_Open(round=asked, messages=messages, request=request))

    def _ask(self, asked: Round, request: bytes | None) -> bytes:
        """Ask a round, under a new request's id where there is none yet; return the id."""
        if request is None:
            self._kept.check_affordable(asked.number)
            request = secrets.token_bytes(ID_BYTES)
            self._kept.add(asked, request, self._present)
        try:
            self._rounds.ask(asked, request)
        except RoundRefusedError:
            self._kept.refused(request)
            raise
        return request

    def _asked(self, messages: list[Message]) -> tuple[str, ...]:
        if not self._sites:
            self.get_node_ids()
        unknown = {message.metadata.dst_node_id for message in messages} - self._sites.keys()
        if unknown:
            raise FarrError("app", _("the app sends a message to a node that is no hospital"))
        return tuple(sorted(self._sites[message.metadata.dst_node_id] for message in messages))

    def _skip(self, messages: dict[str, Message]) -> None:
        """Answer a round that would give no number, without asking anybody: an evaluation that declares nothing."""
        kind = next(iter(messages.values())).metadata.message_type.partition(".")[0]
        if kind == "query":
            raise FarrError(
                "app",
                _("the app asks a query whose numbers nobody declared"),
                remedy=_("name them with farr-entries in its settings, or under [tool.farr.query]"),
            )
        reason = _("not asked: the app declares no numbers of an evaluation (farr-entries)")
        for identifier, message in messages.items():
            self._ready[identifier] = adapter.unavailable(message, reason=reason, reached=False)
        self._say(None, "skipped", self._number, 0)

    def _collect(self, each: _Open, seconds: float | None, *, late_is_over: bool) -> None:
        outcome = self._waited(each, seconds, late_is_over=late_is_over)
        if outcome is None:
            return
        self._open.remove(each)
        self._kept.done(each.request, outcome)
        self._say(each.round.sent, "answered", each.round.number, len(outcome.answered), outcome.noise)
        content = reply(each.round.sent, outcome.mean, self._settings.declared)
        for identifier, message in each.messages.items():
            if self._sites[message.metadata.dst_node_id] in outcome.answered:
                # One content for all: it is the same, and large models are not copied for each hospital.
                self._ready[identifier] = Message(content, reply_to=message)
            else:
                self._ready[identifier] = adapter.unavailable(
                    message, reason=_("this hospital is not in the sum"), reached=True
                )

    def _waited(self, each: _Open, seconds: float | None, *, late_is_over: bool) -> Outcome | None:
        """Return what came of a round; None where nothing has yet, or where it is late and was given up."""

        def held() -> None:
            if not each.held:
                each.held = True
                self._say(each.round.sent, "held", each.round.number, len(each.round.sites))

        try:
            return self._rounds.wait(each.request, seconds, held)
        except RoundFailedError as error:
            self._open.remove(each)
            self._kept.failed(each.request, charged=error.charged)
            raise
        except FarrError as error:
            if error.code != "timeout":
                raise
        if not late_is_over:
            return None
        if not self._rounds.cancel(each.request):
            # Answered at the last moment, and paid for.
            return self._rounds.wait(each.request, None, held)
        self._open.remove(each)
        self._kept.late(each.request)
        self._say(each.round.sent, "late", each.round.number, 0)
        return None

    def _say(self, content: Sent | None, state: str, number: int, hospitals: int, noise: float = 0.0) -> None:
        self._told(
            Progress(
                number=number,
                rounds=self._kept.rounds,
                kind="evaluate" if content is None else content.kind,
                state=state,
                hospitals=hospitals,
                spent_units=self._kept.spent_units,
                noise=noise,
                size=0 if content is None else len(content.data),
            )
        )


def node_id(site: str) -> int:
    """Return the number by which Flower knows a hospital: above 0, the same in every run."""
    return int.from_bytes(hashlib.sha256(b"farr1/flower-node\0" + site.encode()).digest()[:8], "big") >> 1 | 1 << 62


def run_number() -> int:
    """Return a number for a run that no run of this machine has had."""
    return time.time_ns()
