"""`make crash`: kill points one after another, with the seed that repeats them."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from tests.crash.points import Undertaker, run


def main():
    """Go through the points; an AssertionError names the seed and the point."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--points", type=int, default=200)
    arguments.add_argument("--seed", default=secrets.token_hex(4))
    given = arguments.parse_args()
    sys.stdout.write(f"seed {given.seed}, {given.points} points\n")
    undertaker = Undertaker()
    with tempfile.TemporaryDirectory() as folder:
        tally = run(
            undertaker,
            Path(folder),
            seed=given.seed,
            points=given.points,
            say=lambda text: sys.stdout.write(text + "\n"),
        )
    undertaker.close()
    for what, count in sorted(tally.items()):
        sys.stdout.write(f"{what:<28} {count:>6}\n")


if __name__ == "__main__":
    main()
