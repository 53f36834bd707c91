"""The analyst's line: the list of requests is fetched page by page."""

import pytest

from farr.channel import Line
from protocols.wire_pb2 import RequestStatus, RequestStatuses, State

ALL = [RequestStatus(id=bytes([number]) * 16, state=State.STATE_FAILED) for number in range(10, 0, -1)]


class Paged:
    """A coordinator whose pages hold three."""

    def __init__(self):
        """Note what is asked."""
        self.asked = []

    def Requests(self, wanted, timeout):  # noqa: N802 - the stub's name
        """Return a page."""
        del timeout
        self.asked.append((wanted.most, wanted.before, tuple(wanted.states)))
        found = [each for each in ALL if each.id.hex().startswith(wanted.beginning)]
        if wanted.before:
            found = [each for each in found if each.id < wanted.before]
        size = min(3, wanted.most or 3)
        return RequestStatuses(requests=found[:size], more=len(found) > size)


@pytest.fixture
def line():
    """A line to it."""
    line = Line.__new__(Line)
    line._stub = Paged()
    return line


@pytest.mark.parametrize(("most", "pages"), [(0, 4), (1, 1), (3, 1), (4, 2), (10, 4), (50, 4)])
def test_pages_are_fetched_until_there_are_enough(line, most, pages):
    """In order, none twice, and no page more than needed; none wanted at most is all."""
    found = line.requests(most, [State.STATE_FAILED], "")
    assert [each.id for each in found] == [each.id for each in ALL][: most or None]
    assert len(line._stub.asked) == pages
    assert {states for _most, _before, states in line._stub.asked} == {(State.STATE_FAILED,)}


def test_what_no_id_begins_with_is_not_asked_for(line):
    """The beginning of an id is looked for where the requests are; no other text is sent."""
    assert [each.id for each in line.requests(0, [], "0a0")] == [ALL[0].id]
    asked = len(line._stub.asked)
    assert [line.requests(0, [], text) for text in ("x", "0A", "0" * 33)] == [[], [], []]
    assert len(line._stub.asked) == asked


def test_an_empty_page_ends_the_list(line, monkeypatch):
    """A coordinator that always says that there are more is not asked for ever."""
    monkeypatch.setattr(line._stub, "Requests", lambda _wanted, timeout: RequestStatuses(more=bool(timeout)))
    assert line.requests(0, [], "") == []


def test_what_was_not_asked_for_is_passed_over(line, monkeypatch):
    """A coordinator of an earlier version sends all that there are: another request is never taken for this one."""
    everything = RequestStatuses(requests=[*ALL, RequestStatus(id=bytes(16), state=State.STATE_WAITING)])
    monkeypatch.setattr(line._stub, "Requests", lambda _wanted, timeout: everything if timeout else None)
    assert [each.id for each in line.requests(0, [], ALL[3].id.hex())] == [ALL[3].id]
    assert line.requests(0, [], "ff" * 16) == []
    assert [each.id for each in line.requests(0, [State.STATE_WAITING], "")] == [bytes(16)]
    assert [each.id for each in line.requests(2, [], "")] == [each.id for each in ALL[:2]]
