"""The list of an analyst's requests: pages that stay small, and what one asks for."""

import asyncio
from itertools import chain

import grpc
import pytest

from coordinator import listing
from coordinator.listing import PAGE_BYTES
from coordinator.store import Store
from protocols.errors import Rejected
from protocols.wire_pb2 import RequestId, RequestStatus, RequestsWanted, Signed, State
from tests.coordinator.federation import coordinator, refused

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def identifier(number, begins=0):
    """Return an id."""
    return bytes([begins]) + number.to_bytes(15, "big")


@pytest.fixture
def store(tmp_path):
    """Return a state with nine hundred requests of ada's, each as long as one to a hundred hospitals, and one other."""
    kept = Store(tmp_path / "state.sqlite")
    with kept.together():
        for number in range(900):
            state = State.STATE_FAILED if number % 3 == 0 else State.STATE_ANSWERED
            status = RequestStatus(id=identifier(number, number % 2), state=state, analyst="ada", statement="x" * 2500)
            kept.add_request(Signed(body=b"%d" % number), status)
        other = RequestStatus(id=identifier(0, 200), state=State.STATE_ANSWERED, analyst="bela")
        kept.add_request(Signed(body=b"other"), other)
    yield kept
    kept.close()


def page(**wanted):
    """Return a page that is asked for."""
    return listing.read(RequestsWanted(**wanted))


def pages(store, **wanted):
    """Return the ids of all pages, one after the other."""
    found = [store.statuses("ada", page(**wanted))]
    while found[-1].more:
        before = found[-1].requests[-1].id
        found.append(store.statuses("ada", page(before=before, **wanted)))
    return [[each.id for each in one.requests] for one in found]


def joined(found):
    """Return the ids of pages in a row."""
    return list(chain.from_iterable(found))


def test_a_page_ends_where_it_is_full(store):
    """However many requests there are, an answer is bounded; with the pages after it nothing is left out or doubled."""
    first = store.statuses("ada", page())
    assert first.ByteSize() < PAGE_BYTES + 2000
    assert first.more
    found = pages(store)
    assert len(found) == 3
    assert joined(found) == [identifier(number, number % 2) for number in range(899, -1, -1)]


def test_so_many_as_are_wanted_are_listed_and_whether_there_are_more(store):
    """Seven of nine hundred with more behind them; the last seven without."""
    found = store.statuses("ada", page(most=7))
    assert ([each.id for each in found.requests], found.more) == (
        [identifier(number, number % 2) for number in range(899, 892, -1)],
        True,
    )
    last = store.statuses("ada", page(most=7, before=identifier(7, 1)))
    assert (len(last.requests), last.more) == (7, False)


def test_states_and_the_beginning_of_an_id_are_looked_for(store):
    """Also where they are far behind, and with half a byte."""
    assert len(joined(pages(store, states=[State.STATE_FAILED]))) == 300
    assert len(joined(pages(store, states=[State.STATE_FAILED], beginning="01"))) == 150
    assert len(joined(pages(store, beginning="0"))) == 900
    assert pages(store, beginning=identifier(3, 1).hex()) == [[identifier(3, 1)]]
    assert pages(store, beginning="c8") == [[]]


def test_a_request_longer_than_a_page_is_listed_alone(store):
    """Whoever reads page after page gets on."""
    long = RequestStatus(id=identifier(1000), state=State.STATE_ANSWERED, analyst="ada", statement="x" * 2 * PAGE_BYTES)
    store.add_request(Signed(body=b"long"), long)
    found = store.statuses("ada", page())
    assert ([each.id for each in found.requests], found.more) == ([long.id], True)


@pytest.mark.parametrize(
    "wanted", [{"beginning": "xy"}, {"beginning": "ABCD"}, {"beginning": "0" * 33}, {"states": [1] * 100}]
)
def test_what_is_no_page_is_refused(wanted):
    """No id begins so, or more states than there are."""
    with pytest.raises(Rejected, match="malformed"):
        page(**wanted)


def test_a_page_lists_requests_as_they_are_now(federation, tmp_path):
    """A caller sees her own, of live ones the present state, and may not begin at another's request."""

    async def scenario():
        async with coordinator(federation, tmp_path) as running:
            ada, bela = running.analyst("ada"), running.analyst("bela")
            mine = [await ada.submit() for _ in range(3)]
            theirs = await bela.submit()
            await ada.stub.Cancel(RequestId(id=mine[0].id))
            listed = await ada.stub.Requests(RequestsWanted(most=1, before=mine[2].id))
            assert ([each.id for each in listed.requests], listed.more) == ([mine[1].id], True)
            waiting = await ada.stub.Requests(RequestsWanted(states=[State.STATE_WAITING]))
            assert [each.id for each in waiting.requests] == [mine[2].id, mine[1].id]
            for before in (theirs.id, b"?"):
                call = ada.stub.Requests(RequestsWanted(before=before))
                assert await refused(call) == (grpc.StatusCode.NOT_FOUND, "unknown-request")
            assert await refused(ada.stub.Requests(RequestsWanted(beginning="-"))) == (INVALID, "malformed")

    asyncio.run(scenario())
