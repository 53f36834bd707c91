"""The curve of a run: the private loss by round, with what the noise leaves open. Needs ``farr[plot]``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from farr import files
from farr.texts import N_
from farr.training.trained import Trained
from queries.cost.accounting import epsilon_of, rho_of_units

TITLE = N_("{name}: loss of a patient, by round")
SOURCE = N_("epsilon {epsilon:.3g}, run {run}")


def draw(trained: Trained, path: Path) -> Path | None:
    """Write the curve as PNG, for its owner only; return its path, or None where nothing can be drawn of it."""
    if find_spec("matplotlib") is None:
        return None
    from farr.plots import fonts, sheet

    known = [each for each in trained.fitted.history if each.loss is not None]
    if not known:
        return None
    script = fonts.script()
    run = trained.run
    epsilon = 0.0 if run is None else epsilon_of(rho_of_units(run.spent_units))
    source = script.say(SOURCE).format(epsilon=epsilon, run="-" if run is None else run.id[:8])
    with script.in_use():
        figure, (axes,) = sheet.blank(1)
        at = [each.number for each in known]
        low = [float("nan") if each.low is None else each.low for each in known]
        high = [float("nan") if each.high is None else each.high for each in known]
        band = axes.fill_between(at, low, high, color=sheet.SAMPLING, alpha=0.3, linewidth=0)
        band.set_label(script.say(sheet.NOISE_ONLY))
        axes.plot(at, [each.loss for each in known], color=sheet.INK, marker="o", markersize=4, linewidth=1.4)  # type: ignore[arg-type]
        axes.set_xticks(at if len(at) <= 20 else at[:: len(at) // 10])  # noqa: PLR2004  as many as there is room for
        heading = sheet.Heading(title=script.say(TITLE).format(name=trained.prepared.recipe.name), source=(source,))
        picture = sheet.finished(figure, heading, sheet.Drawn(body=3.0, legend=(band,)), script)
    files.replace(path, picture.png())
    return path
