"""A request that a hospital's policy holds, from asking to the answer, through the commands that people use."""

import contextlib
import io
import json
import time
from pathlib import Path

import pytest

import farr
from farr.cli.main import main
from farr.lab import record

DEMO = Path(farr.__file__).parent / "demo"
SITES = ("ist-245", "ist-344", "ist-4", "ist-72")
HOLDING = SITES[:2]
SOON = 60
BY_SEX = "SELECT sex, COUNT(*) AS n FROM admission GROUP BY sex"


def command(*arguments):
    """Run `farr`, in this process, and return what it printed as JSON; it must succeed."""
    said, wrong = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(wrong):
        code = main([*arguments, "--json"], {})
    assert code == 0, said.getvalue() + wrong.getvalue()
    return json.loads(said.getvalue())


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A lab of four hospitals, two of which hold every request for a person."""
    folder = tmp_path_factory.mktemp("lab")
    home, data = folder / "home", folder / "data"
    data.mkdir()
    for site in SITES:
        (data / site).symlink_to(DEMO / "data" / "ist" / site)
    (data / "hospitals.toml").symlink_to(DEMO / "data" / "ist" / "hospitals.toml")
    command(
        "lab", "up", "--home", str(home), "--catalogue", str(DEMO / "stroke.toml"),
        "--mapping", str(DEMO / "stroke_mapping.toml"), "--data", str(data),
    )  # fmt: skip
    for site in HOLDING:
        change(home, site, "approval_purposes", '"all"')
    until(lambda: looking(home), lambda seen: seen == set(HOLDING))
    yield home
    command("lab", "down", "--home", str(home))


def node(lab, site):
    """Return a node's home."""
    return lab / record.NODES / site


def change(lab, site, key, value):
    """Change a line of a node's policy."""
    file = node(lab, site) / "policy.toml"
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text(
        "\n".join(f"{key} = {value}" if line.startswith(f"{key} = ") else line for line in lines) + "\n",
        encoding="utf-8",
    )


def until(look, holds):
    """Look again until a condition holds; return what was seen."""
    deadline = time.monotonic() + SOON
    while not holds(seen := look()):
        assert time.monotonic() < deadline, json.dumps(seen, default=str)
        time.sleep(0.2)
    return seen


def looking(lab):
    """Return the hospitals of which the coordinator knows that they look at requests."""
    with farr.connect(lab) as federation:
        return {node.site for node in federation._line.describe().nodes if node.status.holds}


def approvals(lab, site, *arguments):
    """Run `farr node approvals` at a hospital."""
    return command("node", "approvals", *arguments, "--home", str(node(lab, site)))


def ask(lab, statement):
    """Ask without waiting; return the id."""
    return command("query", "--home", str(lab), "--no-wait", "--fresh", statement)["id"]


def requested(lab, identifier):
    """Return where a request stands."""
    return command("requests", "show", identifier, "--home", str(lab))


def test_a_held_request_is_approved_later_and_answered(lab):
    """Two hospitals hold it: it waits with their number; approved at both it is answered by all, on their word."""
    identifier = ask(lab, BY_SEX)
    waiting = until(lambda: requested(lab, identifier), lambda state: state["held"] == 2)
    assert waiting["state"] == "waiting"
    assert [site for site, word in waiting["sites"].items() if word == "held"] == list(HOLDING)
    decided = {}
    for site in HOLDING:
        (held,) = approvals(lab, site, "list")
        assert (held["id"], held["stand"], held["rule"]) == (identifier, "held", "approval_purposes")
        shown = approvals(lab, site, "show", identifier[:8])
        assert (shown["tables"], shown["columns"], shown["minimum"]) == (["admission"], ["admission.sex"], 4)
        assert {each["budget"] for each in shown["left"]} == {"lifetime", "purpose", "period"}
        decided[site] = approvals(lab, site, "approve", identifier[:8], "--by", "Li Na")["decision"]["number"]
    answer = command("requests", "wait", identifier, "--home", str(lab), "--timeout", str(SOON))
    assert answer["sites"]["answered"] == 4
    assert abs(sum(row["n"] for row in answer["rows"]) - 858) < 200
    for site in SITES:
        (entry,) = [
            each
            for each in command("node", "audit", "--home", str(node(lab, site)))
            if each["kind"] == "answered" and each["facts"]["request"] == identifier
        ]
        assert entry["facts"].get("approval") == decided.get(site)


@pytest.mark.slow
def test_a_denied_request_fails_and_is_charged_nowhere(lab):
    """With all four needed, one denial ends it; nobody was charged; the analyst hears the code."""
    before = command("budget", "--home", str(lab))
    identifier = ask(lab, "SELECT COUNT(*) AS n FROM admission WHERE sex = 'F'")
    until(lambda: requested(lab, identifier), lambda state: state["held"] == 2)
    approvals(lab, SITES[0], "deny", identifier, "--reason", "not this year")
    ended = until(lambda: requested(lab, identifier), lambda state: state["state"] != "waiting")
    assert (ended["state"], ended["code"], ended["sites"][SITES[0]]) == ("failed", "denied", "denied")
    assert command("budget", "--home", str(lab)) == before


@pytest.mark.slow
def test_a_changed_policy_voids_an_approval_and_an_overlap_is_shown(lab):
    """Approved at one of two, its policy changes: held there again; the earlier answer on the same table is shown."""
    earlier = ask(lab, BY_SEX)
    until(lambda: requested(lab, earlier), lambda state: state["held"] == 2)
    for site in HOLDING:
        approvals(lab, site, "approve", earlier)
    command("requests", "wait", earlier, "--home", str(lab), "--timeout", str(SOON))
    identifier = ask(lab, "SELECT sex, COUNT(*) AS n FROM admission WHERE age >= 80 GROUP BY sex")
    until(lambda: requested(lab, identifier), lambda state: state["held"] == 2)
    approvals(lab, SITES[0], "approve", identifier)
    until(lambda: requested(lab, identifier), lambda state: state["held"] == 1)
    change(lab, SITES[0], "minimum_cell", "11")
    until(lambda: requested(lab, identifier), lambda state: state["held"] == 2)
    overlaps = approvals(lab, SITES[0], "show", identifier)["overlaps"]
    near = [overlap for overlap in overlaps if (overlap["kind"], overlap["statement"]) == ("near", BY_SEX)]
    assert near
    assert all("age >= 80" in overlap["difference"] for overlap in near)
    command("requests", "cancel", identifier, "--home", str(lab))
