"""Fair shares: of places that many analysts want, nobody takes as many as are left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coordinator.alive import Alive


def has_room(analyst: str, holders: Sequence[str], places: int) -> bool:
    """Tell whether an analyst may take one more of some places; ``holders`` names who has each that is taken.

    Whoever holds fewer places than are free may take one. Alone an analyst gets half of them, two get about a third
    each, and the last place goes to somebody who has none: rounds cannot be interrupted, so room for a newcomer has to
    be left before it comes.

    Guarantee: however many long rounds one analyst asks for, another one's does not wait for them to end. Test:
    tests/coordinator/test_shares.py::test_one_analysts_rounds_leave_places_for_anothers.
    """
    return holders.count(analyst) < places - len(holders)


class Turns:
    """Who opened a round how long ago: where only one can be open, such as an app's, analysts take turns."""

    def __init__(self) -> None:
        """Start with nobody."""
        self._latest: dict[str, int] = {}
        self._count = 0

    def opened(self, analyst: str) -> None:
        """Note that an analyst's round is opened now."""
        self._count += 1
        self._latest[analyst] = self._count

    def in_order(self, waiting: Iterable[Alive]) -> list[Alive]:
        """Return requests in the order of their turns: first who waits longest for a round, then who asked first.

        Test: tests/coordinator/test_shares.py::test_apps_of_two_analysts_take_turns.
        """
        return sorted(waiting, key=lambda each: self._latest.get(each.question.request.analyst, 0))
