"""`farr node policy`: what the node may answer, whether the file is right, and why a request is ruled on as it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farr.cli import output
from farr.cli.node_records import EitherHome, Home
from farr.cli.options import AsJson
from farr.figures import tables
from farr.texts import N_, _

if TYPE_CHECKING:
    from node.authority.policy import Policy
    from node.authority.training import Training

app = typer.Typer(no_args_is_help=True, help=N_("What the node may answer: show, check, explain, default."))

File = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help=N_("A policy to check before it takes effect; else the node's own.")),
]
Named = Annotated[str, typer.Argument(metavar="REQUEST", help=N_("The beginning of its id, or a file that holds it."))]

EXPLAIN = N_(
    "Say what the policy, as it is now, makes of a request: which rule decides, and what every other says.\n\n\b\n"
    "  farr node policy explain --home n 3f9a"
)
DEFAULT = N_(
    "Print the policy that `farr node join` writes, to begin with or to compare with.\n\n\b\n"
    "  farr node policy default > n/policy.toml"
)


@app.command("show", help=N_("Show what the node may answer, as it is read from policy.toml."))
def show(home: Home, as_json: AsJson = False) -> None:
    """Show the policy."""
    from farr.hospital import nodes
    from node.authority import policy as policies

    with nodes.explained():
        allowed = policies.load(home / policies.FILE)
    facts = _facts(allowed)
    if as_json:
        output.as_json(facts)
        return
    training = facts.pop("training")
    if isinstance(training, dict):
        facts |= {f"training.{key}": value for key, value in training.items()}
    else:
        facts["training"] = training
    rows = [(name, json.dumps(value, ensure_ascii=False)) for name, value in facts.items()]
    output.table(tables.table((_("rule"), _("value")), rows))


@app.command("check", help=N_("Check a policy, say where it is wrong, and print in words what it allows."))
def check(file: File = None, home: EitherHome = None, as_json: AsJson = False) -> None:
    """Check a policy."""
    from farr.hospital import nodes, policy_words
    from farr.membership import home as homes
    from node.authority import policy as policies
    from node.authority.policy_names import check_names
    from queries.agreed.catalogue_file import read_catalogue

    if file is None and home is None:
        raise typer.BadParameter(_("name the file, or the node's own folder with --home"))
    path = file or (home or Path()) / policies.FILE
    with nodes.explained():
        allowed = policies.load(path)
        if home is not None:
            catalogue = read_catalogue(nodes.read_home(home).catalogue, homes.CATALOGUE)
            check_names(allowed, catalogue, path.name)
    sentences, remarks = list(policy_words.in_words(allowed)), list(policy_words.remarks(allowed))
    if as_json:
        output.as_json(
            {"valid": True, "file": str(path), "digest": allowed.digest.hex(), "allows": sentences, "remarks": remarks}
        )
        return
    output.line(_("{file} is a complete policy. It answers questions:").format(file=path), style="bold")
    for sentence in sentences:
        output.line(f"  {sentence}")
    for remark in remarks:
        output.line(_("Note: {remark}").format(remark=remark))


@app.command("explain", help=EXPLAIN)
def explain(named: Named, home: Home, as_json: AsJson = False) -> None:
    """Explain a ruling."""
    from farr.hospital.office import office
    from farr.hospital.ruling_words import in_words, remedy_in_words
    from farr.hospital.rulings import explain as explain_request

    with office(home) as opened:
        found = explain_request(opened, named)
    if as_json:
        output.as_json(found.to_plain())
        return
    request, ruling = found.request, found.ruling
    output.line(f"{request.id.hex()}  {request.analyst}  {request.purpose}  {request.reason}")
    output.line(request.statement)
    if found.where == "answered":
        output.line(_("It was answered already; this is what the policy says of such a question today."))
    rows = [(each.rule, _(each.outcome.value), in_words(each.detail)) for each in found.trace]
    output.table(tables.table((_("rule"), _("ruling"), _("why")), rows))
    if ruling.rule:
        output.line(_("{outcome}, by {rule}: {detail}").format(
            outcome=_(ruling.outcome.value), rule=ruling.rule, detail=in_words(ruling.detail)
        ))  # fmt: skip
        if found.where == "waiting":
            output.line(remedy_in_words(ruling.remedy))
    else:
        output.line(_("allowed: no rule stands against it"))


@app.command("default", help=DEFAULT)
def default(as_json: AsJson = False) -> None:
    """Print the policy that joining writes."""
    from node.authority import policy as policies

    if as_json:
        output.as_json({"policy": policies.DEFAULT})
    else:
        sys.stdout.write(policies.DEFAULT)


def _facts(allowed: Policy) -> dict[str, object]:
    from farr.hospital.accounts import clocks
    from queries.cost.accounting import epsilon_of, rho_of_units

    def epsilon(units: int) -> float:
        return round(epsilon_of(rho_of_units(units)), 6)

    def listed(names: tuple[str, ...] | None) -> object:
        return "all" if names is None else list(names)

    return {
        "authorities": listed(allowed.authorities),
        "analysts": listed(allowed.analysts),
        "tables": listed(allowed.tables),
        "columns": listed(allowed.columns),
        "own_row": allowed.own_row,
        "site_group_minimum": allowed.site_group_minimum,
        "minimum_hospitals": allowed.minimum_hospitals,
        "least_honest": allowed.least_honest,
        "trust_floor": allowed.trust_floor.value,
        "newcomer_days": allowed.newcomer_days,
        "minimum_cell": allowed.minimum_cell,
        "lifetime_epsilon": epsilon(allowed.lifetime_units),
        "most_epsilon_per_question": epsilon(allowed.most_units_per_question),
        "period": allowed.period,
        "epsilon_per_period": epsilon(allowed.units_per_period),
        "utc_offset": clocks(allowed).tzname(None).removeprefix("UTC") or "+00:00",
        "approval_purposes": listed(allowed.approval_purposes) if allowed.approval_purposes != () else "none",
        "approval_above_epsilon": epsilon(allowed.approval_above_units),
        "purposes": {purpose: epsilon(units) for purpose, units in allowed.purposes.items()},
        "finest": {"time": allowed.finest_time, **allowed.finest},
        "training": _training(allowed.training),
    }


def _training(training: Training | None) -> object:
    if training is None:
        return "none"
    return {
        "models": "all" if training.models is None else list(training.models) or "none",
        "networks": "all" if training.networks is None else [each.hex() for each in training.networks] or "none",
        "apps": [each.hex() for each in training.apps],
        "unsandboxed_apps": training.unsandboxed_apps,
        "unsandboxed_reason": training.unsandboxed_reason,
        "most_app_minutes": training.most_app_minutes,
        "most_app_megabytes": training.most_app_megabytes,
    }
