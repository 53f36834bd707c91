"""How good models are that were trained through the noise: ``python -m benchmarks.training_quality [--write]``.

Runs are in memory: the node's own arithmetic and calibration on real rows. Noise is of the node's own sampler for
the first table's five sites and four centres; elsewhere rounded normal numbers of the same variance, far quicker.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from math import log, sqrt
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.training_data import INTERVALS, Rows, area, heart, stroke
from farr.training.rehearsal import Federation, exactly, normal_noise, rehearse
from protocols.farrsum.parameters import Trust, honest
from queries.asked.plan import ONE, Layer
from queries.cost.accounting import DELTA, rho_of
from queries.models.design import Design
from queries.models.fitted import Fitted
from queries.models.shape import Shape
from queries.models.training import Model

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "training-quality.md"
RUNS, FITS = 20, 1000
EPSILONS = (0.3, 1.0, 3.0)
HOSPITALS = (5, 20, 100)

Floats = NDArray[np.float64]

_DRAWS = np.random.default_rng(20261122)

# What Flower's side is allowed to choose freely, the best of which is shown.
_FLOWER_CLIPS = (0.25, 0.5, 1.0, 2.0, 4.0)
_FLOWER_ROUNDS = (1, 3)
_NEWTON_STEPS = 3
_LOCAL_RIDGE = 1.0


def main() -> None:
    """Measure, print, and with ``--write`` put it all into the document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_quality", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/training-quality.md")
    parser.add_argument("--fits", type=int, default=FITS, help="fits of each model whose intervals are counted")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs that each median is of")
    chosen = parser.parse_args()
    lines: list[str] = []
    for section, times in ((_headlines, chosen.runs), (_table, chosen.runs), (_coverage, chosen.fits)):
        found = [*section(times), ""]
        Console().print("\n".join(found), markup=False, highlight=False, soft_wrap=True)
        lines += found
    if chosen.write:
        DOCUMENT.write_text("\n".join([_HEAD, *lines[:-1], _FOOT]), encoding="utf-8")


def trained(rows: Rows, kind: str, epsilon: float, federation: Federation) -> Floats:
    """Return the coefficients of one run."""
    model, shape = rows.model(kind)
    return rehearse(model, shape, federation, rho_of(epsilon)).coefficients


def sites(rows: Rows, of: NDArray[np.int64]) -> Federation:
    """Return a federation of one hospital a group of rows, with noise as in earnest."""
    count = int(of.max()) + 1
    return Federation(
        designs=[rows.design(of == place) for place in range(count)], honest=honest(count, Trust.THIRD, count)
    )


def as_hospitals(rows: Rows, hospitals: int, *, each: bool) -> Federation:
    """Return all rows as of so many hospitals, of which a third may collude; ``each`` adds the whole noise."""
    relied_on = 1 if each else honest(hospitals, Trust.THIRD, hospitals)
    return Federation(
        designs=[rows.design()], hospitals=hospitals, honest=relied_on, noise=normal_noise(_DRAWS.standard_normal)
    )


def network(rows: Rows) -> tuple[Model, Shape]:
    """Return the network of the guide: one layer of 16, all else as it is without a word."""
    model, shape = rows.model("logistic")
    layers = (Layer(kind="linear", width=16), Layer(kind="relu", width=16), Layer(kind="linear", width=1))
    step = replace(model.step, model="network", layers=layers, clip=ONE, reach=ONE)
    return Model(step=step, seed=b"quality"), replace(shape, layers=layers)


def network_area(rows: Rows, fitted: Fitted) -> float:
    """Return the area under the curve of a network's predictions."""
    weights, first = fitted.coefficients, rows.x.shape[1] * 16
    inside = np.maximum(rows.x @ weights[:first].reshape(16, -1).T + weights[first : first + 16], 0.0)
    return area(rows.outcome, inside @ weights[first + 16 : first + 32])


def _private_area(runs: int, rows: Rows, epsilon: float, federation: Federation) -> float:
    """Return the median area under the curve of so many runs."""
    columns = rows.x.shape[1]
    return median(
        area(rows.outcome, rows.x @ trained(rows, "logistic", epsilon, federation)[-columns:]) for _ in range(runs)
    )


def pooled(rows: Rows) -> float:
    """Return the area under the curve of the fit to all rows in one place, without noise."""
    model, shape = rows.model("logistic")
    return area(rows.outcome, rows.x @ exactly(model, shape, [rows.design()]).coefficients[1:])


def _headlines(runs: int) -> list[str]:
    lines = ["| what | pooled, no noise | median of private runs | difference | goal |", "|---|---|---|---|---|"]
    trial, centres = stroke("logistic"), heart()
    if trial is not None:
        best = pooled(trial)
        count = int(trial.hospital.max()) + 1
        five = sites(trial, trial.site)
        many = as_hospitals(trial, count, each=False)
        for name, federation in (("five sites", five), (f"{count} real hospitals", many)):
            found = _private_area(runs, trial, 1.0, federation)
            lines.append(_line(f"Stroke trial, {len(trial.x):,} patients, {name}, epsilon 1: AUC", best, found, 0.01))
        model, shape = network(trial)
        best = network_area(trial, exactly(model, shape, [trial.design()]))
        federation = as_hospitals(trial, 5, each=False)
        found = median(
            network_area(trial, rehearse(model, shape, federation, rho_of(1.0))) for _ in range(max(3, runs // 4))
        )
        lines.append(_line("The same, five sites, a network with a layer of 16, epsilon 1: AUC", best, found))
    if centres is not None:
        best, four = pooled(centres), sites(centres, centres.site)
        found = _private_area(runs, centres, 3.0, four)
        lines.append(_line(f"UCI heart, {len(centres.x)} patients, four centres, epsilon 3: AUC", best, found, 0.05))
    return lines


def _line(what: str, best: float, found: float, goal: float | None = None) -> str:
    wished = "none" if goal is None else f"within {goal}"
    return f"| {what} | {best:.4f} | {found:.4f} | {best - found:+.4f} | {wished} |"


def _table(runs: int) -> list[str]:
    lines = [
        "| epsilon | hospitals | Farr | each hospital the whole noise | Flower's LocalDpMod | pooled |",
        "|---|---|---|---|---|---|",
    ]
    rows = stroke("logistic")
    if rows is None:
        return lines
    best = pooled(rows)
    for epsilon in EPSILONS:
        for hospitals in HOSPITALS:
            arms = [
                _private_area(runs, rows, epsilon, as_hospitals(rows, hospitals, each=each)) for each in (False, True)
            ]
            groups = rows.site if hospitals == len(set(rows.site.tolist())) else rows.hospital % hospitals
            flower, how = flower_local(rows, groups, epsilon, runs)
            shown = " | ".join(f"{arm:.3f}" for arm in arms)
            lines.append(f"| {epsilon:g} | {hospitals} | {shown} | {flower:.3f} ({how}) | {best:.3f} |")
    return lines


def flower_local(rows: Rows, groups: NDArray[np.int64], epsilon: float, runs: int) -> tuple[float, str]:
    """Return the best median area that federated averaging under Flower's local DP mod reaches, and with what.

    The mod (flwr 1.41, ``flwr.clientapp.mod.LocalDpMod``) shortens a client's update to ``clipping_norm`` C and adds to
    every parameter normal noise of ``sensitivity * sqrt(2 ln(1.25 / delta)) / epsilon``. One patient may turn the whole
    update of an app round, so the sensitivity is 2 C. Clients start from the global model and make a few Newton steps
    with a small ridge on their own rows; the server averages by numbers of patients. It adds nothing up over rounds, so
    for T rounds each has sqrt(T) times that noise: what zCDP asks, and less than its own formula at epsilon / T.
    """
    x = np.column_stack([np.ones(len(rows.x)), rows.x])
    parts = [(x[groups == place], rows.outcome[groups == place]) for place in np.unique(groups)]
    sizes = np.array([len(part[0]) for part in parts], dtype=np.float64)
    share = sizes / sizes.sum()
    first = np.array([_local(part, np.zeros(x.shape[1])) for part in parts])
    best, how = 0.0, ""
    for rounds in _FLOWER_ROUNDS:
        for clip in _FLOWER_CLIPS:
            scale = 2 * clip * sqrt(2 * log(1.25 / float(DELTA))) / epsilon * sqrt(rounds)
            areas = []
            for _ in range(runs):
                held = np.zeros(x.shape[1])
                for number in range(rounds):
                    updates = first if number == 0 else np.array([_local(part, held) for part in parts])
                    lengths = np.linalg.norm(updates, axis=1, keepdims=True)
                    sent = updates * np.minimum(1.0, clip / np.maximum(lengths, 1e-12))
                    held = held + share @ (sent + _DRAWS.normal(0, scale, sent.shape))
                areas.append(area(rows.outcome, x @ held))
            if median(areas) > best:
                best, how = median(areas), f"C {clip:g}, {rounds} round{'s' if rounds > 1 else ''}"
    return best, how


def _local(part: tuple[Floats, Floats], start: Floats) -> Floats:
    x, outcome = part
    at = start
    for _ in range(_NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ at, -30, 30)))
        curved = (x * (chance * (1 - chance))[:, None]).T @ x + _LOCAL_RIDGE * np.eye(len(at))
        at = at + np.linalg.solve(curved, x.T @ (outcome - chance) - _LOCAL_RIDGE * at)
    return at - start


def _coverage(fits: int) -> list[str]:
    lines = [
        "| model, epsilon 1 | coefficients | fits | within 1.96 noise-only errors | each, from ... to | of columns |",
        "|---|---|---|---|---|---|",
    ]
    for kind in ("logistic", "cox"):
        rows = stroke(kind)
        if rows is None:
            continue
        model, shape = rows.model(kind)
        lines.append(_covered(f"Stroke trial, {kind}, five sites", model, shape, rows.design(), hospitals=5, fits=fits))
        if kind == "cox":
            for hospitals, groups in ((5, rows.site), (20, rows.hospital % 20)):
                apart = replace(rows.design(), stratum=groups)
                name = f"The same, stratified by {hospitals} sites, two intervals"
                stratified = replace(shape, strata=hospitals, intervals=(INTERVALS[0], INTERVALS[3], INTERVALS[-1]))
                found = _covered(name, model, stratified, apart, hospitals=hospitals, fits=max(50, fits // 5))
                lines.append(found)
    return lines


def _covered(name: str, model: Model, shape: Shape, design: Design, *, hospitals: int, fits: int) -> str:
    """Return how often intervals by the noise contain the fit without it."""
    exact = exactly(model, shape, [design]).coefficients
    relied_on = honest(hospitals, Trust.THIRD, hospitals)
    noise = normal_noise(_DRAWS.standard_normal)
    federation = Federation(designs=[design], hospitals=hospitals, honest=relied_on, noise=noise)
    inside = np.zeros(shape.width)
    for _ in range(fits):
        fit = rehearse(model, shape, federation, rho_of(1.0))
        errors = fit.noise_errors
        inside += np.abs(fit.coefficients - exact) < 1.96 * (np.inf if errors is None else errors)
    each = inside / fits
    ends = f"{each.min():.1%} ... {each.max():.1%}"
    columns = each[-shape.columns :]
    of_columns = f"{columns.min():.1%} ... {columns.max():.1%}"
    return f"| {name} | {shape.width} | {fits:,} | {each.mean():.1%} | {ends} | {of_columns} |"


_HEAD = """\
# How good models are that are trained through the noise

Made by `python -m benchmarks.training_quality --write`, in memory: the arithmetic, the sensitivities and the noise of
hospitals, on real rows of the International Stroke Trial and of the four UCI heart disease centres. The privacy loss
is that of the whole run, at a delta of one in a million, for adding or removing one patient. A third of the hospitals
may collude, as by default. AUC is on all rows, so a difference is what the noise costs and nothing else.

Noise is that of the nodes' own sampler for the stroke trial's five sites and the four heart centres in the first table
(logistic); everywhere else it is rounded normal numbers of the same variance, which are far quicker.
"""

_FOOT = """
## How to read it

The first table holds the goals; the second compares, at the same privacy loss, the AUC of the stroke model by

- **Farr**: hospitals' noise shares together make up the noise, under the secure sum;
- **each hospital the whole noise**: the same algorithm where no hospital's noise is relied on but one's own;
- **Flower's LocalDpMod** with FedAvg: the update of each hospital clipped to C, and noise of
  `sensitivity * sqrt(2 ln(1.25 / delta)) / epsilon` on every parameter, as the mod has it (flwr 1.41), with a
  sensitivity of 2 C, since one patient may turn an update round, and sqrt(T) times as much for T rounds. Of five
  clips and of one or three rounds the best is shown, as if the choice had cost nothing.

Flower's side is computed here, by the mod's formula and not by running Flower: federated averaging of a few Newton
steps on each hospital's rows, as `flower_local` in `benchmarks/training_quality.py` says. The network has no standard
errors and its pooled fit is the same number of steps without noise.

The third table counts how often a coefficient's interval by the noise contains the fit without noise to the same rows,
with the same clip. Stratified models have a baseline for each site and interval, each from few events: single intervals
are rough, as the last column but one shows, and the model says so in a note. Where the noise hides a coefficient, its
interval rests on a weak prior (standard deviation 3.5 for a scaled column), and the model says that too. It pulls
coefficients that are as large as that, such as age's over 120 years, towards 0: their intervals hold less often.

What misses in stratified models is nearly always on one side. A slope of a column that is nowhere near 0, such as age
between 0 and 120, is told apart from the baselines by little: along that direction the noise is as large as the
information, each round goes only part of the way to the fit, and the prior holds the rest. The steepest slope then
falls short by part of its error, the more so with more strata, and the baselines are too high to match; at a larger
epsilon that passes. The table's last column says how often the slopes' intervals hold nevertheless, the one before it
what to expect of the baselines. More patients, a larger epsilon or fewer
strata help.
"""

if __name__ == "__main__":
    main()
