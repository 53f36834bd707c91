"""`farr node apps`: an operator looks at an app, keeps it, and reads how it ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from farr.cli.main import main
from node.apps import reports
from node.apps.bundle import read_bundle, write_bundle
from node.apps.reports import Report
from node.authority import policy
from protocols.app_bundle import bundle_digest

MEAN = Path(__file__).resolve().parents[1] / "apps" / "mean"
DIGEST = bundle_digest(read_bundle(MEAN)).hex()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a node's home with the policy that joining writes."""
    (tmp_path / policy.FILE).write_text(policy.DEFAULT)
    return tmp_path


def allow_by_policy(home: Path) -> None:
    """Write the app's digest into the policy."""
    text = (home / policy.FILE).read_text()
    (home / policy.FILE).write_text(text.replace("\napps = []", f'\napps = ["{DIGEST}"]'))
    assert policy.load(home / policy.FILE).training.apps == (bytes.fromhex(DIGEST),)


def told(capsys, *arguments: str) -> dict:
    """Run a command and return what it printed as JSON."""
    assert main(["node", "apps", *arguments, "--json"], {}) == 0
    return json.loads(capsys.readouterr().out)


def test_an_app_is_kept_and_runs_only_once_the_policy_names_it(home: Path, tmp_path: Path, capsys) -> None:
    """The folder and the archive of it are one app; keeping it allows nothing."""
    (tmp_path / "mean.fab").write_bytes(write_bundle(read_bundle(MEAN)))
    for source in (MEAN, tmp_path / "mean.fab"):
        kept = told(capsys, "allow", "--home", str(home), str(source))
        assert (kept["digest"], kept["name"], kept["allowed"]) == (DIGEST, "mean", False)
    assert set(kept["files"]) == {"mean/client_app.py", "pyproject.toml"}
    allow_by_policy(home)
    [listed] = told(capsys, "list", "--home", str(home))["apps"]
    assert listed["allowed"]
    assert listed["here"]


def test_what_is_still_to_do_is_printed(home: Path, capsys) -> None:
    """The line for the policy can be copied as it stands."""
    assert main(["node", "apps", "allow", "--home", str(home), str(MEAN)], {}) == 0
    assert f'apps = ["{DIGEST}"]' in capsys.readouterr().out
    assert main(["node", "apps", "show", "--home", str(home), DIGEST[:6], "--file", "mean/client_app.py"], {}) == 0
    assert "def train(" in capsys.readouterr().out


def test_a_forbidden_app_is_gone(home: Path, capsys) -> None:
    """The copy is removed, and the list says that the policy still names what is not there."""
    told(capsys, "allow", "--home", str(home), str(MEAN))
    allow_by_policy(home)
    assert told(capsys, "forbid", "--home", str(home), DIGEST[:8])["removed"]
    [listed] = told(capsys, "list", "--home", str(home))["apps"]
    assert listed["allowed"]
    assert not listed["here"]


def test_the_operator_reads_why_an_app_was_stopped(home: Path, capsys) -> None:
    """The last rounds are shown with their endings; what the app wrote only when it is asked for, made harmless."""
    told(capsys, "allow", "--home", str(home), str(MEAN))
    report = Report(
        at=1_800_000_000, app=DIGEST, kind="train", seconds=1.5, ending="shape", detail="x", said="\x1b[2J77"
    )
    reports.write(home, report)
    [shown] = told(capsys, "show", "--home", str(home), DIGEST[:8])["rounds"]
    assert (shown["ending"], shown["detail"]) == ("shape", "x")
    assert "said" not in shown
    assert main(["node", "apps", "show", "--home", str(home), DIGEST[:8]], {}) == 0
    assert "shape" in capsys.readouterr().out
    assert main(["node", "apps", "show", "--home", str(home), DIGEST[:8], "--output"], {}) == 0
    printed = capsys.readouterr().out
    assert "77" in printed
    assert "\x1b" not in printed


def test_what_is_no_app_is_refused_in_words(home: Path, tmp_path: Path, capsys) -> None:
    """A folder of something else, an unknown digest, an unknown file."""
    (tmp_path / "other").mkdir()
    assert main(["node", "apps", "allow", "--home", str(home), str(tmp_path / "other")], {}) != 0
    assert "not an app" in capsys.readouterr().err
    assert main(["node", "apps", "show", "--home", str(home), "1234"], {}) != 0
    told(capsys, "allow", "--home", str(home), str(MEAN))
    assert main(["node", "apps", "show", "--home", str(home), DIGEST, "--file", "nothing.py"], {}) != 0


def test_old_reports_make_room(home: Path) -> None:
    """A node that runs an app for months keeps the newest reports, readable by their owner only."""
    for number in range(reports.MOST_KEPT + 5):
        reports.write(
            home, Report(at=number, app=DIGEST, kind="train", seconds=0, ending="answered", detail="", said="")
        )
    kept = list(reports.read(home))
    assert [report.at for report in kept] == list(range(reports.MOST_KEPT + 4, 4, -1))
    assert {path.stat().st_mode & 0o77 for path in (home / reports.FOLDER).iterdir()} == {0}


@pytest.mark.parametrize("command", [("list",), ("allow", str(MEAN)), ("show", DIGEST)])
def test_a_folder_that_is_no_nodes_home_is_refused(tmp_path: Path, capsys, command: tuple[str, ...]) -> None:
    """A misspelt folder would be made, and no node look there."""
    name, *more = command
    assert main(["node", "apps", name, "--home", str(tmp_path / "typo"), *more], {}) == 1
    assert "is not the home of a node" in capsys.readouterr().err
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    ("beginning", "words"), [("ab", "too short"), ("ffff", "no app here begins with ffff"), (DIGEST[:4], "")]
)
def test_an_app_is_named_by_the_beginning_of_its_digest(home: Path, capsys, beginning: str, words: str) -> None:
    """One that is too short, or of no app, is told apart from one of several."""
    told(capsys, "allow", "--home", str(home), str(MEAN))
    assert main(["node", "apps", "show", "--home", str(home), beginning], {}) == (1 if words else 0)
    assert words in capsys.readouterr().err
