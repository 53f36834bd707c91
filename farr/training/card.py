"""The model card: what a model is of, what it cost whom, who took part and who did not, and what to beware of."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from farr.texts import N_, _, language, translate
from farr.training.coefficients import RATIOS, Coefficient, first_groups
from farr.training.recipe import DROP
from farr.training.runs import Run
from farr.training.trained import Trained
from queries.asked.plan import ONE
from queries.cost.accounting import DELTA, epsilon_of, rho_of_units
from queries.models.fitted import Evaluation

FAKE = N_("Trained on fake rows: it says nothing about any patient and must not be used.")
SCALED = N_("Numbers were scaled by the catalogue's bounds and cut to them; predictions do the same.")
DROPPED = N_("Rows in which a term has no value took no part.")
CENTRED = N_("A term without a value counted as the middle of its bounds, or as its first group.")
CLIPPED = N_("A patient's gradient longer than the clip was shortened to it, which may bias coefficients towards zero.")
PARTIAL = N_("Some hospitals are not in every round; what they added to the others stays in the model.")
UNFINISHED = N_("The run stopped before its end: coefficients and errors are those of its last round.")


FIGURES = {
    "auc": N_("area under the ROC curve"),
    "brier": N_("Brier score"),
    "calibration_slope": N_("calibration slope"),
    "calibration_in_the_large": N_("calibration in the large"),
    "concordance": N_("concordance"),
    "loss": N_("loss of a patient"),
    "r_squared": N_("share of variance explained (R squared)"),
}
"""What an evaluation has, for people."""


def card_of(trained: Trained) -> dict[str, Any]:
    """Return the card as JSON can hold it. Texts are English: files are read by others."""
    recipe, prepared, run = trained.prepared.recipe, trained.prepared, trained.run
    catalogue = prepared.catalogue
    card: dict[str, Any] = {
        "name": recipe.name,
        "kind": recipe.kind,
        "question": {
            "table": prepared.part.table,
            "outcome": recipe.outcome,
            "terms": list(recipe.terms),
            "where": recipe.where,
            "missing": recipe.missing,
            "strata": list(recipe.strata),
        },
        "catalogue": {"name": catalogue.name, "version": catalogue.version, "digest": catalogue.digest.hex()},
        "privacy": privacy_of(trained),
        "hospitals": None if run is None else hospitals_of(run),
        "training": {
            "rounds": len(trained.fitted.history),
            "finished": trained.fitted.finished,
            "penalty": float(recipe.penalty),
            "clip": prepared.step.clip / ONE,
            "loss": [
                {"round": each.number, "loss": each.loss, "low": each.low, "high": each.high}
                for each in trained.fitted.history
            ],
        },
        "evaluation": None if trained.fitted.evaluation is None else evaluation_of(trained.fitted.evaluation),
        "caveats": list(caveats(trained)),
        "stopped": None if trained.stopped is None else {"code": trained.stopped.code},
        "fake": trained.fake,
    }
    if run is not None:
        card["run"] = {
            "id": run.id,
            "begun_at": _when(run.begun_at),
            "ended_at": _when(max((each.released_at for each in run.answered), default=run.begun_at)),
            "purpose": run.purpose,
            "reason": recipe.reason,
            "requests": [each.request for each in run.answered],
            "releases": [each.release for each in run.answered],
        }
    return card


def privacy_of(trained: Trained) -> dict[str, Any]:
    """Return what the model cost a patient at most."""
    prepared, run = trained.prepared, trained.run
    plain: dict[str, Any] = {
        "unit": "patient",
        "neighbours": "all rows of one patient, at every hospital, are there or not",
        "rows_per_patient": prepared.part.bound.rows,
        "sites_per_patient": prepared.catalogue.sites_per_patient,
        "mechanism": "distributed discrete Gaussian noise on sums of clipped gradients, added at the hospitals",
        "delta": float(DELTA),
    }
    if run is None:
        return plain | {"rho": 0.0, "epsilon": 0.0}
    return plain | {
        "rho": float(rho_of_units(run.spent_units)),
        "epsilon": epsilon_of(rho_of_units(run.spent_units)),
        "units": run.spent_units,
        "agreed_epsilon": epsilon_of(rho_of_units(run.rho_units)),
        "lost_units": run.lost_units,
        "trust": run.recipe.trust.value,
        "minimum": run.minimum,
    }


def hospitals_of(run: Run) -> dict[str, list[str]]:
    """Return who was asked, who is in every round, in some of them, and in none."""
    rounds = [set(each.answered) for each in run.answered]
    always = set.intersection(*rounds) if rounds else set()
    ever = set().union(*rounds)
    return {
        "asked": list(run.sites),
        "in_every_round": sorted(always),
        "in_some_rounds": sorted(ever - always),
        "in_none": sorted(set(run.sites) - ever),
    }


def evaluation_of(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation as JSON can hold it; what the noise hides is null."""
    return {
        "share": evaluation.share,
        "figures": {
            each.name: {"value": _finite(each.value), "low": _finite(each.low), "high": _finite(each.high)}
            for each in evaluation.figures
        },
        "calibration": [
            {
                "rows": _finite(each.rows),
                "predicted": _finite(each.predicted),
                "observed": _finite(each.observed),
                "low": _finite(each.low),
                "high": _finite(each.high),
            }
            for each in evaluation.bands
        ],
    }


def coefficient_of(each: Coefficient, kind: str) -> dict[str, Any]:
    """Return a coefficient as JSON can hold it."""
    plain: dict[str, Any] = {
        "name": each.name,
        "label": each.label,
        "unit": each.unit,
        "value": _finite(each.value),
        "scaled": _finite(each.scaled),
        "noise_error": _finite(each.noise_error),
        "error": _finite(each.error),
        "low": _finite(each.low),
        "high": _finite(each.high),
    }
    if kind in RATIOS:
        value, low, high = each.ratio()
        plain[RATIOS[kind].replace(" ", "_")] = {"value": _finite(value), "low": _finite(low), "high": _finite(high)}
    return plain


def caveats(trained: Trained) -> tuple[str, ...]:
    """Return what a reader must know, in plain English."""
    found = [FAKE] if trained.fake else []
    if trained.stopped is not None or not trained.fitted.finished:
        found.append(UNFINISHED)
    found += [SCALED, DROPPED if trained.prepared.recipe.missing == DROP else CENTRED]
    if trained.prepared.recipe.clip is not None or trained.kind in ("poisson", "cox", "network"):
        found.append(CLIPPED)
    if trained.run is not None and hospitals_of(trained.run)["in_some_rounds"]:
        found.append(PARTIAL)
    return (*found, *(note for note in trained.fitted.notes if note not in found))


def markdown(trained: Trained) -> str:
    """Return the card as a page to be read, in the language in use."""
    card = card_of(trained)
    privacy, question, hospitals = card["privacy"], card["question"], card["hospitals"]
    lines = [f"# {card['name']}", ""]
    if trained.fake:
        lines += [f"**{translate(FAKE)}**", ""]
    lines += [
        _("- model: {kind} of {outcome} on {terms}").format(
            kind=card["kind"], outcome=f"`{question['outcome']}`", terms=", ".join(f"`{t}`" for t in question["terms"])
        ),
        _("- table: {table}, catalogue {name} {version} ({digest})").format(
            table=question["table"],
            name=card["catalogue"]["name"],
            version=card["catalogue"]["version"],
            digest=card["catalogue"]["digest"][:16],
        ),
        _("- privacy: of a patient, with all rows at all hospitals; epsilon {epsilon:.3g} at delta {delta:g}").format(
            epsilon=privacy["epsilon"], delta=privacy["delta"]
        )
        + f" (rho {privacy['rho']:.4g})",
        _("- of a patient count: rows, at most {rows}; hospitals, at most {sites}").format(
            rows=privacy["rows_per_patient"], sites=privacy["sites_per_patient"]
        ),
        _("- rows: {where}").format(where=f"`{question['where']}`" if question["where"] else _("all of the table")),
        *_how(trained, card),
    ]
    if hospitals is not None:
        lines += [
            _("- hospitals: {asked} asked, {always} in every round").format(
                asked=len(hospitals["asked"]), always=len(hospitals["in_every_round"])
            )
            + f" ({', '.join(hospitals['in_every_round'])})",
        ]
        for key, text in (
            ("in_some_rounds", _("- in some rounds only: {sites}")),
            ("in_none", _("- in no round: {sites}")),
        ):
            if hospitals[key]:
                lines.append(text.format(sites=", ".join(hospitals[key])))
        lines.append(
            _("- run {run}, {begun} to {ended}, {count} releases").format(
                run=card["run"]["id"],
                begun=card["run"]["begun_at"],
                ended=card["run"]["ended_at"],
                count=len(card["run"]["releases"]),
            )
        )
    if trained.table().coefficients:
        lines += ["", _("## Coefficients"), "", *_coefficient_rows(trained)]
        if first := first_groups(trained.prepared, language()):
            lines += ["", _("First groups: {names}").format(names="; ".join(first))]
    if card["evaluation"]:
        lines += ["", _("## On patients held out"), ""]
        lines += [
            _("Of {share:.0%} of the patients, who took no part in training; intervals of 95 %.").format(
                share=float(trained.prepared.held_share)
            ),
            "",
        ]
        for name, figure in card["evaluation"]["figures"].items():
            scaled = name == "loss" and trained.kind in ("linear", "network") and not trained.classes
            words = _("loss (half the square error of the outcome, scaled to -1 to 1)") if scaled else _figure(name)
            lines.append(f"- {words}: {_interval(name, figure)}")
    lines += ["", _("## Beware"), "", *(f"- {translate(each)}" for each in card["caveats"]), ""]
    return "\n".join(lines)


def _how(trained: Trained, card: dict[str, Any]) -> list[str]:
    """Return how it was trained, for what, and whether it stopped early."""
    training = card["training"]
    lines = [
        _("- training: {rounds} rounds, penalty {penalty:g}, a patient's gradient clipped to {clip:.3g}").format(
            rounds=training["rounds"], penalty=training["penalty"], clip=training["clip"]
        )
    ]
    run = trained.run
    if run is None:
        return lines
    lines.append(_("- purpose: {purpose}").format(purpose=run.purpose))
    if card["run"]["reason"]:
        lines.append(_("- reason: {reason}").format(reason=card["run"]["reason"]))
    if trained.stopped is not None:
        lines.append(
            _("- stopped before its end ({code}): epsilon {epsilon:.3g} of {agreed:.3g} spent").format(
                code=trained.stopped.code,
                epsilon=card["privacy"]["epsilon"],
                agreed=card["privacy"]["agreed_epsilon"],
            )
        )
    if run.lost_units:
        lines.append(
            _("- rounds without an answer, charged in vain: up to epsilon {epsilon:.3g}").format(
                epsilon=epsilon_of(rho_of_units(run.lost_units))
            )
        )
    return lines


def _coefficient_rows(trained: Trained) -> list[str]:
    table = trained.table()
    if not table.coefficients:
        return []
    ratio = RATIOS.get(trained.kind, "")
    heads = [
        _("term"),
        _("coefficient"),
        _("se (noise)"),
        _("se"),
        _("95 %"),
        *([_(ratio), _("95 %")] if ratio else ()),
    ]
    lines = [_row(heads), "|---" * len(heads) + "|"]
    for place, each in enumerate(table.coefficients[table.baselines :]):
        label = f"{each.label} [{each.unit}]" if each.unit else each.label
        cells = [label, f"{each.value:.4g}", f"{each.noise_error:.2g}", f"{each.error:.2g}"]
        cells.append(f"{each.low:.4g}, {each.high:.4g}")
        if ratio and place == 0 and not table.baselines:
            cells += ["", ""]
        elif ratio:
            value, low, high = each.ratio()
            cells += [f"{value:.4g}", f"{low:.4g}, {high:.4g}"]
        lines.append(_row(cells))
    return lines


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figure(name: str) -> str:
    return _(FIGURES.get(name, name))


def _interval(name: str, figure: dict[str, float | None]) -> str:
    value, low, high = (figure[each] for each in ("value", "low", "high"))
    if value is None:
        return _("the noise hides it")
    if name == "loss" and high is not None and value <= 0 < high:
        # No loss is below 0: the noise made it so, and only the upper end says anything.
        return _("at most {value}").format(value=_shown(high))
    return f"{_shown(value)} ({_shown(low)}, {_shown(high)})"


def _shown(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"


def _when(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
