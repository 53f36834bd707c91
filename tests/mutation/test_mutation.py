"""Every check of the secure sum is listed, and taking any of them away makes a test fail."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections import defaultdict
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def load():
    """Return the runner, which is a script beside this file."""
    spec = importlib.util.spec_from_file_location("mutation_run", HERE / "run.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


run = load()
CHECKS = list(run.checks())


def source(file):
    """Return a file of the package."""
    return (run.ROOT / run.PACKAGE / file).read_text(encoding="utf-8")


def test_every_listed_check_is_in_the_source():
    """Each entry stands exactly once in its file, changes it into something that parses, and names tests that exist."""
    for check in CHECKS:
        ast.parse(run.without((run.ROOT / check.source).read_text(encoding="utf-8"), check))
        for test in check.tests:
            file, _, name = run.located(test).partition("::")
            assert f"def {name}" in (run.ROOT / file).read_text(encoding="utf-8"), test


def test_no_two_entries_have_one_name():
    """A name in the table says which check it was."""
    names = [(check.file, check.name) for check in CHECKS]
    assert len(set(names)) == len(names)


def refusals(text):
    """Return the lines on which something is refused: a raise of Rejected or ProtocolError, a call of checks."""
    found = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            found[node.lineno] = ast.unparse(node)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and ast.unparse(node.func.value) == "checks"
            and node.func.attr != "parse"
        ):
            found[node.lineno] = ast.unparse(node)
    return found


def test_every_refusal_is_listed():
    """Each place that refuses, or the condition right above it, is taken away by some entry."""
    touched = defaultdict(set)
    for check in CHECKS:
        if check.source.parent != run.PACKAGE:
            continue
        text = source(check.file)
        for old in check.old:
            first = text[: text.index(old)].count("\n") + 1
            touched[check.file] |= set(range(first, first + old.rstrip("\n").count("\n") + 1))
    files = sorted(path.name for path in (run.ROOT / run.PACKAGE).glob("*.py") if path.name != "rehearsal.py")
    missing = []
    for file in files:
        # A refusal in an "except" stands two lines below what it guards.
        missing += [
            (file, line, said)
            for line, said in refusals(source(file)).items()
            if not touched[file] & {line, line - 1, line - 2}
        ]
    assert missing == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_taking_any_check_away_makes_a_test_fail():
    """No check can be deleted unnoticed."""
    assert run.unmutated(CHECKS) == ""
    assert [(each.check.file, each.check.name) for each in run.survey(CHECKS, workers=2) if not each.failed] == []
