"""How the tests share the machine: which go together, in what order, and which one goes alone.

The tests of a file stay in one process, so that its fixtures are made once. Journeys run many processes of their own
and mostly wait for them: they go in two rows, one after another each, while other tests use the rest of the machine.
They come first, and then what takes long, so that nothing long is last.
"""

import contextlib
import fcntl
from pathlib import Path

import pytest

ROWS = ("tests/journeys/test_docs.py", "tests/journeys/")
DOOR, ROOM = Path(__file__), Path(__file__).parents[1] / "pyproject.toml"
"""Files that are there anyway, to be locked."""
LONG = ("tests/distributions/", "tests/node/", "tests/fuzz/")


def row_of(nodeid):
    """Return what a test is run together with: its row of journeys, or its file."""
    return next((row for row in ROWS if nodeid.startswith(row)), nodeid.partition("::")[0])


def place_of(nodeid):
    """Return when a test's turn is: the smaller, the sooner."""
    return next((place for place, start in enumerate((*ROWS, *LONG)) if nodeid.startswith(start)), len(ROWS + LONG))


def pytest_collection_modifyitems(items):
    """Put what takes long first; otherwise the order stays."""
    items.sort(key=lambda item: place_of(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Hand out whole rows and files, in the order in which they were collected."""
    from xdist.scheduler import LoadScopeScheduling

    class ByRow(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return row_of(nodeid)

    config.option.loadscopereorder = False
    return ByRow(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """Where several processes run tests, let one that is marked so run while no other does."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    with turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextlib.contextmanager
def turn(*, alone):
    """Hold the room with others, or alone; who waits at the door for the room alone is overtaken by nobody."""
    with DOOR.open() as door, ROOM.open() as room:
        fcntl.flock(door, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        if not alone:
            fcntl.flock(door, fcntl.LOCK_UN)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
