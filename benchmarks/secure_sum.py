"""The secure sum: CPU and bytes of hospitals and coordinator, as shares of what the cipher alone would take.

``python -m benchmarks.secure_sum [--quick] [--no-flower]``
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks import secure_round
from benchmarks.round_cost import FlowerCost, NodeCost, RoundCost, cpu, merged
from benchmarks.table import Figure
from protocols.farrsum.edges import edges
from protocols.farrsum.masks import expand

TITLE = "Secure sum: share of the AES-CTR limit, Flower's SecAgg+ next to it"
NODES, ENTRIES = (5, 50, 298, 1_000, 2_800), (100, 10_000, 1_000_000)
DROPPED = (0.0, 0.02, 0.2)
QUICK = ((5, 100, 0), (5, 10_000, 1), (50, 100, 0), (50, 10_000, 10), (50, 1_000_000, 0), (1_000, 100, 20))
GOAL = (50, 1_000_000)
FLOWER = (
    (5, 10_000, 0), (5, 1_000_000, 0), (10, 10_000, 0), (10, 10_000, 2), (10, 1_000_000, 0), (10, 1_000_000, 2),
    (50, 1_000_000, 0), (50, 1_000_000, 10),
)  # fmt: skip
FLOWER_QUICK = ((5, 10_000, 0), (10, 10_000, 2))
SMALL, OFTEN, SOMETIMES = 10, 5, 3
"""Rounds of up to so many hospitals are repeated often, some others sometimes."""

Case = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that was measured."""

    rounds: dict[Case, RoundCost]
    """By hospitals, entries, dropped."""
    flower: dict[Case, FlowerCost]
    """Flower's on the same work."""
    edge: float
    """CPU seconds to derive an edge, once an epoch."""
    threads: tuple[float, float]
    """Wall seconds to expand the masks of ``GOAL`` on one thread and on two."""


def measure() -> list[Figure]:
    """Run everything, with Flower where it is installed; about five minutes."""
    return _figures(_run(quick=False, flower=find_spec("flwr") is not None, say=lambda _text: None))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.secure_sum", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few rounds only, under half a minute")
    parser.add_argument("--flower", action=argparse.BooleanOptionalAction, default=True, help="with Flower's SecAgg+")
    chosen = parser.parse_args()
    console = Console()
    with console.status("") as status:
        results = _run(quick=chosen.quick, flower=chosen.flower, say=status.update)
    console.print(_shown(results))
    goals = Table("what", "measured", "goal", title=TITLE, title_justify="left")
    for figure in _goals(results):
        goals.add_row(figure.what, figure.value, figure.goal)
    console.print(goals)


def _run(*, quick: bool, flower: bool, say: Callable[[str], None]) -> Results:
    cases = QUICK if quick else _all_cases()
    compared = (FLOWER_QUICK if quick else FLOWER) if flower else ()
    secure_round.run(_federation(GOAL[0]), 100, 0)  # first use of libraries
    rounds = {}
    for case in sorted({*cases, *compared}):
        say(f"{case[0]:,} hospitals, {case[1]:,} entries, {case[2]:,} dropped")
        rounds[case] = _repeated(*case)
    flowers = {}
    for case in compared:
        say(f"Flower: {case[0]:,} hospitals, {case[1]:,} entries, {case[2]:,} dropped")
        flowers[case] = _flower(*case)
    return Results(rounds=rounds, flower=flowers, edge=_edge(), threads=(_wall(1), _wall(2)))


def _all_cases() -> tuple[Case, ...]:
    return tuple((nodes, entries, int(nodes * share)) for nodes in NODES for entries in ENTRIES for share in DROPPED)


def _repeated(nodes: int, entries: int, dropped: int) -> RoundCost:
    federation = _federation(nodes)
    times = OFTEN if nodes <= SMALL else SOMETIMES if (nodes, entries, dropped) == (*GOAL, 0) else 1
    if nodes > secure_round.MOST_WHOLE and entries < max(ENTRIES):
        times = SOMETIMES
    return merged([secure_round.run(federation, entries, dropped) for _ in range(times)])


@lru_cache(maxsize=2)
def _federation(nodes: int) -> secure_round.Federation:
    return secure_round.Federation(nodes)


def _flower(nodes: int, entries: int, dropped: int) -> FlowerCost:
    from benchmarks import secagg_plus  # noqa: PLC0415 - Flower is an optional extra

    threshold = _federation(nodes).epoch.parameters.threshold
    times = SOMETIMES if nodes <= SMALL else 1
    costs = [secagg_plus.run(nodes, entries, dropped, threshold) for _ in range(times)]
    return FlowerCost(node=median(cost.node for cost in costs), coordinator=median(cost.coordinator for cost in costs))


def _edge() -> float:
    federation = _federation(GOAL[0])
    seconds: list[float] = []
    for name, index in federation.epoch.index.items():
        with cpu(seconds):
            edges(federation.epoch, index, federation.exchange[name])
    return median(seconds) / (GOAL[0] - 1)


def _wall(threads: int) -> float:
    nodes, entries = GOAL
    vector = secure_round.random_vector(entries)
    seeds = [(os.urandom(32), 1) for _ in range(nodes)]
    seconds = []
    for _ in range(SOMETIMES):
        began = time.perf_counter()
        expand(vector, seeds, bytes(32), threads=threads)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _figures(results: Results) -> list[Figure]:
    figures = _goals(results)
    for (nodes, entries, dropped), cost in results.rounds.items():
        inner = cost.committee
        off = f"{_ms(cost.adding)} + {_ms(cost.finishing)} ms ({_percent(cost, cost.masks, cost.coordinator)})"
        figures.append(
            Figure(
                what=f"{nodes:,} hospitals, {entries:,} entries, {dropped:,} dropped",
                value=f"upload {_ms(inner.upload)} ms ({_percent(cost, inner.masks, median(inner.upload))}), "
                f"coordinator {'about ' if cost.estimated else ''}{off}",
            )
        )
    return figures


def _goals(results: Results) -> list[Figure]:
    figures = []
    for case, cost in results.rounds.items():
        if case[:2] != GOAL:
            continue
        where = f"{case[0]:,} x {case[1]:,}, {case[2]:,} dropped:"
        node, finishing = cost.committee, median(cost.finishing)
        figures += [
            Figure(what=f"{where} hospital", value=_percent(cost, node.masks, median(node.upload)), goal="70 %"),
            Figure(what=f"{where} coordinator, masks off", value=_percent(cost, cost.masks, finishing), goal="70 %"),
            Figure(
                what=f"{where} coordinator, with adding the vectors",
                value=_percent(cost, cost.masks, cost.coordinator),
                goal="70 %",
            ),
        ]
    for case, theirs in results.flower.items():
        ours = results.rounds[case]
        spent = sum(median(part) for part in (ours.committee.deposit, ours.committee.upload, ours.committee.unmask))
        where = f"{case[0]:,} x {case[1]:,}, {case[2]:,} dropped: Flower's SecAgg+ / Farr,"
        goal = "100 x" if case[:2] == GOAL else ""
        figures += [
            Figure(what=f"{where} coordinator", value=_times(theirs.coordinator, ours.coordinator), goal=goal),
            Figure(what=f"{where} hospital", value=_times(theirs.node, spent)),
        ]
    one, two = results.threads
    figures.append(Figure(what="an edge, once an epoch", value=f"{results.edge * 1e6:.0f} µs"))
    figures.append(
        Figure(
            what=f"{GOAL[0]} masks x {GOAL[1]:,}, wall, one / two threads",
            value=f"{one * 1e3:.0f} / {two * 1e3:.0f} ms",
        )
    )
    return figures


def _shown(results: Results) -> Table:
    shown = Table(
        title="CPU ms; hospitals outside / inside the committee. Coordinator: add vectors + open secrets + masks off",
        title_justify="left",
        caption="~ scaled from a sample of the masks, no sum made. Otherwise every sum was exact. "
        "From 1,000 hospitals, and 298 x 1,000,000: two hospitals are played, the others are stand-ins. "
        "Share: of AES-256-CTR alone over the same keystream. kB with the vector.",
        caption_justify="left",
    )
    for heading in ("hospitals", "entries", "dropped", "deposit", "upload", "share", "unmask", "coordinator"):
        shown.add_column(heading, justify="right")
    for heading in ("share", "masks off only", "kB up", "kB down"):
        shown.add_column(heading, justify="right")
    for (nodes, entries, dropped), cost in results.rounds.items():
        kinds = [cost.ordinary, cost.committee] if cost.ordinary.deposit else [cost.committee]
        finishing = median(cost.finishing)
        about = "~" if cost.estimated else ""
        masks_off = _shortly((finishing - median(cost.opening)) * 1e3)
        shown.add_row(
            f"{nodes:,}",
            f"{entries:,}",
            f"{dropped:,}",
            _both(kinds, lambda kind: _ms(kind.deposit)),
            _both(kinds, lambda kind: _ms(kind.upload)),
            " / ".join(_percent(cost, kind.masks, median(kind.upload)) for kind in kinds),
            _both(kinds, lambda kind: _ms(kind.unmask)),
            f"{_ms(cost.adding)} + {_ms(cost.opening)} + {about}{masks_off}",
            about + _percent(cost, cost.masks, cost.coordinator),
            about + _percent(cost, cost.masks, finishing),
            _both(kinds, lambda kind: f"{kind.up / 1e3:,.1f}"),
            _both(kinds, lambda kind: f"{kind.down / 1e3:,.1f}"),
        )
    return shown


def _both(kinds: list[NodeCost], show: Callable[[NodeCost], str]) -> str:
    return " / ".join(show(kind) for kind in kinds)


def _percent(cost: RoundCost, masks: int, seconds: float) -> str:
    return f"{cost.limit(masks) / seconds * 100:.0f} %"


def _times(theirs: float, ours: float) -> str:
    return f"{_shortly(theirs * 1e3)} / {_shortly(ours * 1e3)} ms = {theirs / ours:,.0f} x"


def _ms(seconds: list[float]) -> str:
    return _shortly(median(seconds) * 1e3) if seconds else "-"


def _shortly(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


if __name__ == "__main__":
    main()
