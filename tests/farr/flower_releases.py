"""`make flower-contract`: the adapters' tests with each release of Flower that pyproject.toml allows, one by one.

Each release gets an environment of its own, from nothing, and all else that Farr needs as constraints.txt has it. The
table at the end says which releases hold. ``RELEASES`` is the one place where they are listed:
tests/farr/test_flower_contract.py holds the range in pyproject.toml to it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

RELEASES = ("1.41.0",)
"""Oldest first. A new one: add it here, run `make flower-contract`, then widen the range in pyproject.toml."""

TESTS = (
    "tests/farr/test_flower_contract.py",
    "tests/farr/test_flower_federated.py",
    "tests/farr/test_flower_grid.py",
    "tests/farr/test_flower_messages.py",
    "tests/farr/test_flower_settings.py",
    "tests/farr/test_flower_strategies.py",
    "tests/node/test_apps_flower.py",
)
"""Of the researcher's side and of the hospitals'."""

TOOLS = ("pytest", "pytest-timeout", "scikit-learn", "hypothesis")


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What became of one release."""

    release: str
    installed: bool
    passed: bool
    last: str
    """The last line that pip or pytest said."""
    seconds: float


def constraints(folder):
    """Write the tested versions of what Farr itself needs; what Flower brings is Flower's own affair."""
    own, inside = [], True
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and "==" not in line:
            inside = "train" not in line
        elif inside:
            own.append(line)
    path = folder / "constraints.txt"
    path.write_text("\n".join(own) + "\n", encoding="utf-8")
    return path


def tried(release, folder, limits):
    """Install a release and run the tests with it."""
    began, home = time.monotonic(), folder / release
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "-c", limits]
    for words in ([*pip, "-e", ROOT, f"flwr=={release}", "safetensors", *TOOLS], [python, "-m", "pip", "check"]):
        done = subprocess.run(list(map(str, words)), cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            return Tried(
                release=release, installed=False, passed=False, last=last(done), seconds=time.monotonic() - began
            )
    # In the checkout, for pytest's settings; no cache is left there.
    words = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=short", *TESTS]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "FARR_FLOWER": release}
    done = subprocess.run(list(map(str, words)), cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
    return Tried(
        release=release,
        installed=True,
        passed=done.returncode == 0,
        last=last(done),
        seconds=time.monotonic() - began,
    )


def last(done):
    """Return the last line that a command said."""
    lines = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
    return lines[-1].strip("= ") if lines else ""


def main():
    """Try all releases, or those that are named; the exit status is 1 where one does not hold."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("releases", nargs="*", metavar="RELEASE", help="default: all that pyproject.toml allows")
    arguments.add_argument("--keep", metavar="DIR", help="keep the environments there and use them again")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="farr-flower-") as scratch:
        folder = Path(given.keep or scratch).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        limits = constraints(folder)
        found = []
        for release in given.releases or RELEASES:
            sys.stderr.write(f"Flower {release} ...\n")
            found.append(tried(release, folder, limits))
    sys.stdout.write(f"{'Flower':<10} {'installed':<10} {'holds':<6} {'seconds':>7}  said last\n")
    for each in found:
        words = ("yes" if each.installed else "no", "yes" if each.passed else "NO")
        sys.stdout.write(f"{each.release:<10} {words[0]:<10} {words[1]:<6} {each.seconds:>7.0f}  {each.last}\n")
    return 0 if all(each.passed for each in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
