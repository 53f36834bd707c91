"""A lab from the command line: up, asked, disturbed, down; and nothing left of it, however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import farr
from farr.lab import processes, record

DEMO = Path(farr.__file__).parent / "demo"
SITES = ("ist-245", "ist-344", "ist-4", "ist-72")
SOON = 60


def command(*arguments, **options):
    """Run `farr` and return the finished process."""
    return subprocess.run(
        [sys.executable, "-m", "farr", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=SOON,
        **options,
    )


def up_arguments(home, data):
    """Return the arguments that bring up a small lab."""
    mapping = DEMO / "stroke_mapping.toml"
    catalogue = DEMO / "stroke.toml"
    return (
        "lab",
        "up",
        "--home",
        str(home),
        "--catalogue",
        str(catalogue),
        "--mapping",
        str(mapping),
        "--data",
        str(data),
    )


def hospitals(folder, sites=SITES):
    """Return a folder with some of the demo's hospitals."""
    folder.mkdir()
    for site in sites:
        (folder / site).symlink_to(DEMO / "data" / "ist" / site)
    (folder / "hospitals.toml").symlink_to(DEMO / "data" / "ist" / "hospitals.toml")
    return folder


def nothing_left(home):
    """Tell whether no process of a lab runs any more, waiting a little for the last to end."""
    deadline = time.monotonic() + SOON
    while processes.marked(home) and time.monotonic() < deadline:
        time.sleep(0.1)
    return processes.marked(home) == []


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A lab of four hospitals."""
    folder = tmp_path_factory.mktemp("lab")
    home = folder / "home"
    started = command(*up_arguments(home, hospitals(folder / "data")), "--json")
    assert started.returncode == 0, started.stderr + started.stdout
    assert json.loads(started.stdout)["hospitals"] == list(SITES)
    yield home
    stopped = command("lab", "down", "--home", str(home), "--json")
    assert stopped.returncode == 0, stopped.stderr
    assert nothing_left(home)


def test_a_question_to_a_lab_is_answered(lab):
    """`farr query --home LAB` gives the contract's JSON; the numbers are near the exact ones."""
    asked = command(
        "query",
        "--home",
        str(lab),
        "--json",
        "--epsilon",
        "1",
        "SELECT sex AS 性别, COUNT(*) AS 人数 FROM admission GROUP BY sex",
    )
    assert (asked.returncode, asked.stderr) == (0, "")
    plain = json.loads(asked.stdout)
    total = sum(row["人数"] for row in plain["rows"])
    # 862 records; four shares of noise in two cells have a deviation of about 18 in all.
    assert abs(total - 858) < 6 * 18
    assert plain["sites"]["answered"] == 4
    spent = plain["cost"]["units"]
    budgets = json.loads(command("budget", "--home", str(lab), "--json").stdout)
    assert {each["lifetime"]["units"] - each["remaining"]["units"] for each in budgets} == {spent}
    assert plain["remaining"] == {each["site"]: each["remaining"] for each in budgets}


def test_python_gives_the_same_answer_as_the_command_line(lab):
    """The same question again is the same release, at no cost."""
    statement = "SELECT consciousness, COUNT(*) AS n FROM admission GROUP BY consciousness"
    first = json.loads(command("query", "--home", str(lab), "--json", statement).stdout)
    with farr.connect(lab) as federation:
        frame = federation.sql(statement)
    assert list(frame["n"]) == [row["n"] for row in first["rows"]]
    assert frame.attrs["farr"]["release"]["id"] == first["release"]["id"]
    assert frame.attrs["farr"]["cost"]["units"] == 0


def test_a_dry_run_changes_no_budget(lab):
    """What a dry run says it would cost is not charged."""
    before = command("budget", "--home", str(lab), "--json").stdout
    foreseen = command("query", "--home", str(lab), "--json", "--dry-run", "SELECT COUNT(*) AS n FROM admission")
    assert json.loads(foreseen.stdout)["sites"] == {"asked": 4, "connected": 4, "needed": 4, "names": list(SITES)}
    assert command("budget", "--home", str(lab), "--json").stdout == before


def test_hospitals_refuse_with_a_code_what_their_policy_does_not_allow(lab):
    """A question above the policy's price fails with the hospitals' code and charges nothing."""
    refused = command("query", "--home", str(lab), "--json", "--epsilon", "5", "SELECT COUNT(*) AS n FROM admission")
    error = json.loads(refused.stdout)["error"]
    assert (refused.returncode, error["code"]) == (1, "cost-limit")
    assert set(error["refusals"]["cost-limit"]) <= set(SITES)


def test_a_running_lab_is_not_started_twice(lab, tmp_path):
    """A second start is refused and leaves the first as it is."""
    again = command(*up_arguments(lab, hospitals(tmp_path / "data")), "--json")
    assert (again.returncode, json.loads(again.stdout)["error"]["code"]) == (1, "lab-running")
    status = json.loads(command("lab", "status", "--home", str(lab), "--json").stdout)
    assert [each["running"] for each in status["processes"]] == [True] * 5


def test_a_request_waits_for_a_hospital_that_is_down(lab):
    """With a hospital killed the request waits; nobody is charged; cancelling ends it."""
    home = record.read(lab.resolve())
    victim = next(process for process in home.processes if process.name == SITES[0])
    os.kill(victim.pid, signal.SIGKILL)
    asked = command("query", "--home", str(lab), "--no-wait", "--json", "SELECT AVG(age) AS age FROM admission")
    identifier = json.loads(asked.stdout)["id"]
    deadline = time.monotonic() + SOON
    state = {"connected": 4}
    while state["connected"] == 4 and time.monotonic() < deadline:
        state = json.loads(command("requests", "show", identifier, "--home", str(lab), "--json").stdout)
    assert (state["state"], state["connected"], state["needed"]) == ("waiting", 3, 4)
    cancelled = command("requests", "cancel", identifier, "--home", str(lab), "--json")
    assert json.loads(cancelled.stdout)["state"] == "cancelled"
    waited = command("requests", "wait", identifier, "--home", str(lab), "--json")
    assert (waited.returncode, json.loads(waited.stdout)["error"]["code"]) == (1, "cancelled")


def test_a_start_that_fails_shows_the_log_and_leaves_nothing(tmp_path):
    """A hospital whose data cannot be read ends the start; the reason is shown and all processes are stopped."""
    data = hospitals(tmp_path / "data", SITES[:2])
    (data / "broken").mkdir()
    (data / "broken" / "admission.csv").write_text("no,such,columns\n1,2,3\n")
    home = tmp_path / "home"
    failed = command(*up_arguments(home, data), "--json")
    error = json.loads(failed.stdout)["error"]
    assert (failed.returncode, error["code"]) == (1, "start-failed")
    assert "broken" in error["message"]
    assert nothing_left(home)
    assert json.loads(command("lab", "status", "--home", str(home), "--json").stdout)["processes"] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_start_leaves_no_process(tmp_path, number):
    """Ctrl-C during the start, or a kill that cannot be caught, ends every process that was started."""
    home = tmp_path / "home"
    starting = subprocess.Popen(
        [sys.executable, "-m", "farr", *up_arguments(home, hospitals(tmp_path / "data"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + SOON
    while len(processes.marked(home)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(processes.marked(home)) >= 3
    starting.send_signal(number)
    starting.communicate(timeout=SOON)
    assert starting.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert nothing_left(home)
