"""`make fuzz`: mutated inputs for every parser that faces another party, and a table of what came of them.

Inputs that crash or hang a parser are kept in tests/fuzz/corpus/, which the tests feed first from then on.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import resource
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz import at_coordinator, at_node, at_reader
from tests.fuzz.mutation import Mutator
from tests.fuzz.trying import fuzz, keep
from tests.node import rig

MOST_ADDRESSES = 16 << 30
"""Of the whole process: an input that asks for more memory than there is raises MemoryError, which is a crash."""


def show(found, seconds):
    """Print a row, and what went wrong."""
    sys.stdout.write(
        f"{found.parser:<26} {found.inputs:>8} {found.accepted:>8} {found.refused:>8} {found.slowest:>11.1f} "
        f"{seconds:>8.1f}\n"
    )
    for data, why in found.wrong:
        where = keep(found.parser, data) if data else "-"
        sys.stdout.write(f"  WRONG, kept in {where}\n    " + why.replace("\n", "\n    ") + "\n")
    sys.stdout.flush()


async def everything(folder, *, inputs, seed, only):
    """Fuzz each parser in turn; return how many inputs went wrong."""
    wrong = 0
    async with at_coordinator.parsers(folder / "coordinator") as coordinators:
        groups = (
            (at_node.parsers(folder), rig.key_of),
            (coordinators, at_coordinator.key_of),
            (at_reader.parsers(folder), rig.key_of),
        )
        for parsers, key_of in groups:
            for parser in parsers:
                if not any(part in parser.name for part in only or [""]):
                    continue
                began = time.monotonic()
                found = fuzz(parser, Mutator(f"{seed} {parser.name}", key_of=key_of), inputs)
                show(found, time.monotonic() - began)
                wrong += len(found.wrong)
    return wrong


def main():
    """Run; the exit code is 1 where anything went wrong."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--inputs", type=int, default=20_000, help="for each parser")
    arguments.add_argument("--seed", default="farr")
    arguments.add_argument("only", nargs="*", help="parts of parsers' names")
    given = arguments.parse_args()
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    sys.stdout.write(f"seed {given.seed!r}, {given.inputs} inputs a parser\n")
    sys.stdout.write(f"{'parser':<26} {'inputs':>8} {'accepted':>8} {'refused':>8} {'slowest ms':>11} {'seconds':>8}\n")
    with tempfile.TemporaryDirectory() as folder:
        wrong = asyncio.run(everything(Path(folder), inputs=given.inputs, seed=given.seed, only=given.only))
    sys.stdout.write(f"{wrong} inputs went wrong\n")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
