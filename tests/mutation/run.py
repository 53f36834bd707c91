"""Take away each listed check in turn and run the tests aimed at it: at least one must fail.

    python tests/mutation/run.py [WORDS]      only the checks whose file or name contains one of the words

The list is tests/mutation/checks.toml. Nothing in the checkout changes: the packages and their tests are copied first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).resolve().parent / "checks.toml"
PACKAGE = Path("protocols/farrsum")
TESTS = Path("tests/protocols/farrsum")
COPIED = ("protocols", "node", "coordinator", "queries", "farr", "tests", "examples", "pyproject.toml")
LONGEST = 300
"""Seconds after which the tests of one check are given up."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check of the package."""

    file: str
    """In the package of the secure sum, or from the root where it names a folder."""
    name: str
    """What it makes sure of."""
    old: tuple[str, ...]
    """Source text, each piece exactly once in the file."""
    new: tuple[str, ...]
    """What stands there once the check is taken away."""
    tests: tuple[str, ...]
    """Which must fail then: files of TESTS, or from the root where they begin with tests/; or tests in them."""

    @property
    def source(self) -> Path:
        """Where the check stands, from the root."""
        return Path(self.file) if "/" in self.file else PACKAGE / self.file


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one mutant."""

    check: Check
    failed: str
    """The first test that failed; empty: none did, and the check is not tested."""
    seconds: float


def checks(words: Sequence[str] = ()) -> Iterator[Check]:
    """Read the list."""
    listed = tomllib.loads(LIST.read_text(encoding="utf-8"))
    for file, entries in listed.items():
        for entry in entries:
            old, new = entry["old"], entry.get("new", "")
            check = Check(
                file=f"{file}.py",
                name=entry["name"],
                old=tuple(old) if isinstance(old, list) else (old,),
                new=tuple(new) if isinstance(new, list) else (new,),
                tests=tuple(entry["tests"]),
            )
            if not words or any(word in f"{check.file} {check.name}" for word in words):
                yield check


def located(test: str) -> str:
    """Return a test as pytest finds it from the root."""
    return test if test.startswith("tests/") else (TESTS / test).as_posix()


def without(source: str, check: Check) -> str:
    """Return the source without a check; raise ValueError where the list does not fit the source."""
    for old, new in zip(check.old, check.new, strict=True):
        if source.count(old) != 1:
            raise ValueError(f"{check.file}: {check.name}: found {source.count(old)} times: {old!r}")
        source = source.replace(old, new)
    return source


def copy(folder: Path) -> None:
    """Copy the packages, their tests and the settings."""
    for name in COPIED:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)


def first_failure(folder: Path, tests: Sequence[str]) -> str:
    """Run tests in a copy; return the first that failed, or nothing."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "--tb=no"]
    command += [located(test) for test in tests]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
        )
    except subprocess.TimeoutExpired:
        return "(ran out of time)"
    if done.returncode == 0:
        return ""
    if done.returncode != 1:
        # Nothing was collected, or the source does not parse: that is a mistake in the list, not a test that failed.
        raise RuntimeError(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split("::")[-1].split(" - ")[0] if failed else "(unknown)"


def survey(chosen: Sequence[Check], workers: int = 1) -> Iterator[Outcome]:
    """Take away each check in turn; the copies are thrown away afterwards."""
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(workers) as pool:
        clean = Path(scratch) / "clean"
        copy(clean)

        def attempt(place: int, check: Check) -> Outcome:
            started = time.monotonic()
            folder = Path(scratch) / str(place)
            shutil.copytree(clean, folder, copy_function=os.link)
            path = folder / check.source
            changed = without(path.read_text(encoding="utf-8"), check)
            path.unlink()
            path.write_text(changed, encoding="utf-8")
            failed = first_failure(folder, check.tests)
            shutil.rmtree(folder)
            return Outcome(check=check, failed=failed, seconds=time.monotonic() - started)

        yield from pool.map(attempt, range(len(chosen)), chosen)


def unmutated(chosen: Sequence[Check]) -> str:
    """Return the first aimed test that fails although nothing was taken away, or nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        copy(Path(scratch))
        return first_failure(Path(scratch), sorted({test for check in chosen for test in check.tests}))


def main(words: Sequence[str]) -> int:
    """Write a table; return 1 where a check can be taken away unnoticed."""
    chosen = list(checks(words))
    if failed := unmutated(chosen):
        sys.stdout.write(f"{failed} fails although nothing was taken away\n")
        return 1
    unnoticed = 0
    for outcome in survey(chosen, workers=os.cpu_count() or 1):
        unnoticed += not outcome.failed
        found = outcome.failed or "NOTHING FAILED"
        sys.stdout.write(f"{outcome.check.file:16} {outcome.check.name:66} {outcome.seconds:5.1f} s  {found}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(chosen)} checks taken away, {len(chosen) - unnoticed} noticed, {unnoticed} not\n")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
