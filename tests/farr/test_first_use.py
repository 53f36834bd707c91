"""What a first-time user runs into: words for what went wrong, figures without records in them, a node that died."""

import fcntl
import os
from dataclasses import replace

import grpc
import pytest

from farr.channel import Line
from farr.cli.figures import footnotes
from farr.errors import FarrError
from farr.hospital import nodes
from farr.problems import problem_of
from node import serve
from protocols.errors import Rejected
from queries.errors import StatementError
from tests.farr import harbour


class Late(grpc.RpcError):
    """A call that took longer than its caller wanted to wait."""

    def code(self):
        """Say so."""
        return grpc.StatusCode.DEADLINE_EXCEEDED

    def trailing_metadata(self):
        """Name no reason."""
        return ()


def test_whoever_stops_waiting_learns_how_to_go_on():
    """The advice of a wait that ran out of time holds the request's id."""

    class Stub:
        def Watch(self, _request, timeout):  # noqa: N802 - gRPC's name
            assert timeout == 1.0
            raise Late

    line = Line.__new__(Line)
    line._stub = Stub()
    with pytest.raises(FarrError) as caught:
        list(line.watch(bytes.fromhex("3f2a" * 8), 1.0))
    assert caught.value.code == "timeout"
    assert "farr requests wait 3f2a3f2a" in caught.value.remedy


@pytest.mark.parametrize(
    ("error", "head"),
    [
        (StatementError("no", remedy="do"), "Refused ("),
        (Rejected("budget", "17"), "Refused (budget): "),
        (FarrError("unreachable", "no answer"), "Failed (unreachable): "),
        (FileNotFoundError(2, "No such file", "x.toml"), "Failed (file): x.toml"),
    ],
)
def test_a_rule_refuses_and_everything_else_fails(error, head):
    """People are told that a rule forbids something only where one does."""
    assert problem_of(error).to_text().startswith(head)


def test_what_was_kept_back_costs_nothing_and_is_called_noise(tmp_path):
    """Hospitals that put zeros are not charged; where all do, the answer says that it is noise."""
    asked = harbour.federation(tmp_path / "home", harbour.Quay())
    result = asked.ask("SELECT COUNT(*) AS n FROM stay")
    some = replace(result, sites=replace(result.sites, withheld=result.sites.answered[:2]))
    every = replace(result, sites=replace(result.sites, withheld=result.sites.answered))
    assert some.sites.charged == result.sites.answered[2:]
    assert (some.cost_units, every.cost_units) == (result.cost_units, 0)
    assert not any("noise around zero" in line for line in footnotes(some))
    assert any("noise around zero" in line for line in footnotes(every))


def test_a_node_runs_while_its_lock_is_held(tmp_path):
    """A number that is left in serve.pid, by now perhaps another process's, does not count; the lock does."""
    assert (nodes.LOCK, nodes.RUNNING) == (serve.LOCK, serve.RUNNING)
    assert nodes.running(tmp_path) is None
    (tmp_path / nodes.RUNNING).write_text(f"{os.getpid()}\n")
    (tmp_path / nodes.LOCK).touch()
    assert nodes.running(tmp_path) is None
    with (tmp_path / nodes.LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert nodes.running(tmp_path) == os.getpid()
    assert nodes.running(tmp_path) is None
