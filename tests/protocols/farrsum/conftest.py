"""The modules that the tests of the secure sum share, loaded by path: there are no packages under tests/."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent


def _load(name: str) -> ModuleType:
    full = f"farrsum_tests_{name}"
    if full in sys.modules:
        return sys.modules[full]
    spec = importlib.util.spec_from_file_location(full, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def hospitals() -> ModuleType:
    """Honest hospitals, and a coordinator that a test may script."""
    return _load("hospitals")


@pytest.fixture(scope="session")
def knowledge() -> ModuleType:
    """What follows, exactly, from everything that left honest hospitals."""
    return _load("knowledge")


@pytest.fixture(scope="session")
def naive() -> ModuleType:
    """A second implementation of the protocol, in plain integers."""
    return _load("naive")


@pytest.fixture(scope="session")
def cases() -> ModuleType:
    """The vectors of tests/vectors/farrsum.json, made anew from their entropy."""
    return _load("cases")


@pytest.fixture
def attack(hospitals, knowledge, request):
    """Ten hospitals, three of them corrupt, after their deposits."""
    return _load("attacks").Attack(hospitals, knowledge, request.node.name)
