"""What Farr uses of Flower and Flower does not promise: held against the release that is installed."""

from __future__ import annotations

import ast
import inspect
import os
import tomllib
from importlib import import_module
from pathlib import Path

import flwr
import pytest
from flwr.app import Context, Error, Message, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from farr.flower import adapter
from farr.flower.grid import FarrGrid
from tests.farr.flower_releases import RELEASES

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(adapter.__file__).parent
PUBLIC = {"flwr.app", "flwr.serverapp", "flwr.serverapp.strategy"}


@pytest.mark.parametrize("name", adapter.PRIVATE)
def test_every_private_name_is_where_it_is_looked_for(name):
    """A release of Flower that moved one is told by its name."""
    module, _, path = name.partition(":")
    found = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)


def test_only_the_adapter_uses_what_flower_does_not_publish():
    """All other modules of the package import public names of Flower only."""
    for file in sorted(PACKAGE.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            used = {name for name in names if name and name.split(".")[0] == "flwr"}
            assert file.name == "adapter.py" or used <= PUBLIC, (file.name, used - PUBLIC)


def test_the_private_names_take_what_they_are_given():
    """Signatures and attributes, as this release has them."""
    assert list(inspect.signature(Run.create_empty).parameters) == ["run_id"]
    assert adapter.empty_run(7).run_id == 7
    assert {"task_id", "run_id", "node_id"} <= set(dir(type(TaskIdentity)))
    assert list(inspect.signature(Error.__init__).parameters)[:3] == ["self", "code", "reason"]
    context = list(inspect.signature(Context.__init__).parameters)
    assert context[:6] == ["self", "run_id", "node_id", "node_config", "state", "run_config"]


def test_a_message_can_be_named_and_answered():
    """A message's id is what a reply refers to, and a reply goes back where the message came from."""
    with adapter.task(5):
        message = Message(RecordDict(), 12, "train")
        adapter.name_message(message, "0001-c")
        answer = adapter.unavailable(message, reason="gone", reached=False)
    assert message.metadata.message_id == answer.metadata.reply_to_message_id == "0001-c"
    assert (answer.metadata.src_node_id, answer.error.code, answer.error.reason) == (12, 5, "gone")


def test_a_grid_has_every_method_that_flower_asks_for():
    """With the parameters of Flower's own."""
    for name in Grid.__abstractmethods__:
        theirs, ours = getattr(Grid, name), getattr(FarrGrid, name)
        if not isinstance(theirs, property):
            assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters), name


def test_an_app_of_the_older_kind_is_told_by_its_missing_main():
    """Flower keeps the function of @app.main() under a private name."""
    old, new = ServerApp(), ServerApp()
    new.main()(lambda _grid, _context: None)
    assert (adapter.has_main(old), adapter.has_main(new)) == (False, True)


def test_the_pins_allow_the_releases_that_were_tried_and_no_others():
    """The range in pyproject.toml begins with the oldest of them and ends before the next after the newest."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["train"]
    (pinned,) = [each for each in wanted if each.startswith("flwr")]
    minors = sorted({tuple(map(int, release.split(".")[:2])) for release in RELEASES})
    first, last = minors[0], minors[-1]
    assert pinned == f"flwr>={first[0]}.{first[1]},<{last[0]}.{last[1] + 1}"
    assert minors == [(first[0], minor) for minor in range(first[1], last[1] + 1)]


def test_the_installed_release_is_one_that_was_tried():
    """`make flower-contract` sets which; without it, any of them."""
    assert flwr.__version__ == os.environ.get("FARR_FLOWER", flwr.__version__)
    assert flwr.__version__.split(".")[:2] in [release.split(".")[:2] for release in RELEASES]
