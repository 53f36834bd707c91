from __future__ import annotations

import asyncio

import pytest

from node.books import attesting
from node.books.attesting import Attesting
from protocols.wire_pb2 import Signed

QUIET, LONGEST = 0.2, 0.9


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Let the moments be short."""
    monkeypatch.setattr(attesting, "REST", QUIET)
    monkeypatch.setattr(attesting, "LONGEST_REST", LONGEST)


async def busy(rounds, pause):
    """Tell of so many releases, so far apart; return what was shown, and when."""
    shown, resting = [], Attesting()
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def show(released):
        shown.append((loop.time() - began, [each.signer for each in released]))

    for number in range(rounds):
        resting.soon(show, Signed(signer=str(number)))
        await asyncio.sleep(pause)
    await asyncio.sleep(2 * QUIET)
    return shown


def test_releases_that_wait_take_bounded_memory(monkeypatch):
    """However long those are that a coordinator sends in one moment: the newest are kept, unknown fields counted."""
    monkeypatch.setattr(attesting, "MOST_RELEASED_BYTES", 1000)
    shown = []

    async def show(released):
        shown.extend(released)

    async def scene():
        resting = Attesting()
        for number in range(8):
            swollen = Signed.FromString(b"\x9a\x3e\xc8\x01" + bytes(200))  # an unknown field of 200 bytes
            swollen.signer = str(number)
            resting.soon(show, swollen)
        await resting.finish()

    asyncio.run(scene())
    assert [each.signer for each in shown] == ["4", "5", "6", "7"]


def test_a_log_is_shown_once_for_all_rounds_of_a_busy_moment():
    """While questions follow each other nothing is signed; a moment after the last, all of them are shown at once."""
    ((at, released),) = asyncio.run(busy(4, QUIET / 4))
    assert released == ["0", "1", "2", "3"]
    assert at >= 3 * QUIET / 4 + QUIET


def test_a_log_is_shown_in_the_end_however_busy_the_node_is():
    """Rounds without end put it off for the longest rest and no longer; none of them is forgotten."""
    shown = asyncio.run(busy(24, QUIET / 4))
    assert len(shown) >= 2
    assert LONGEST - 0.05 <= shown[0][0] <= LONGEST + QUIET
    assert [name for _at, released in shown for name in released] == [str(number) for number in range(24)]
