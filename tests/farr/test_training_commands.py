"""`farr train` and `farr models`: what is refused before anything is asked, and which runs are listed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from farr.cli import train
from farr.cli.main import main
from farr.errors import FarrError
from farr.flower import kept
from farr.flower.kept import Kept, KeptRound
from farr.questions.asking import Terms
from farr.training import model_file

MODEL = """
name = "m"
kind = "logistic"
table = "admission"
outcome = "died = 'Y'"
terms = ["age"]
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a MODEL.toml, or a run with --resume"),
        (("m.toml", "--resume", "ab"), "--resume takes no MODEL.toml"),
        (("--resume", "ab", "--dry-run"), "--dry-run"),
        (("--resume", "ab", "--reason", "other"), "--reason"),
        (("--resume", "ab", "--epsilon", "2"), "--epsilon"),
        (("--resume", "ab", "--by-residence"), "--resume takes no --by-residence"),
        (("--resume", "ab", "--patience", "1d"), "--resume takes no --patience"),
        (("--resume", "ab", "--app", "app", "--patience", "2d"), "--resume takes no --patience"),
        (("--resume", "ab", "--patients", "100"), "--patients is of --dry-run and --fake"),
        (("m.toml", "--patients", "100"), "--patients is of --dry-run and --fake"),
        (("--app", "app", "--dry-run", "--patients", "100"), "--patients is of --dry-run and --fake"),
        (("m.toml", "--dry-run", "--output", "models"), "--output has nothing to save"),
        (("m.toml", "--epsilon", "200"), "<=100"),
        (("app",), "a Flower app is run with --app"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_asked(tmp_path, monkeypatch, capsys, arguments, words):
    """A usage error, with what to write instead; nothing given is silently left aside."""
    monkeypatch.chdir(tmp_path)
    Path("app").mkdir()
    Path("m.toml").write_text(MODEL)
    assert main(["train", "--home", str(tmp_path), *arguments], {}) == 2
    assert words in " ".join(capsys.readouterr().err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("more", "words"),
    [("epsilon = 2.0", r"epsilon: .*\[privacy\]"), ("held_out = 20", r"held_out: .*the share of patients")],
)
def test_usual_slips_in_a_model_say_what_to_write(tmp_path, more, words):
    """An epsilon without its table; a share in percent."""
    (tmp_path / "m.toml").write_text(MODEL + more)
    with pytest.raises(Exception, match=words):
        model_file.read_file(tmp_path / "m.toml")


def begun(home):
    """Keep a run of an app of which a round was answered; return it."""
    run = Kept(
        folder=home / kept.RUNS / ("ab" * 16),
        id="ab" * 16,
        number=1_700_000_000_000_000_000,
        app="cd" * 32,
        name="mine",
        config={},
        rounds=2,
        rho_units=8,
        done_rounds=[
            KeptRound(
                number=1, kind="train", message="", sites=(), request="01" * 16, state="answered", rho_units=4
            )
        ],
    )  # fmt: skip
    run.save()
    return run


def test_runs_of_apps_are_listed_with_those_of_models(tmp_path, capsys):
    """Whoever lost the id of a run finds it; a damaged one is said and the others are shown."""
    run = begun(tmp_path)
    (tmp_path / kept.RUNS / "bad").mkdir()
    (tmp_path / kept.RUNS / "bad" / kept.FILE).write_text("[]")
    assert main(["models", "list", "--home", str(tmp_path), "--json"], {}) == 0
    seen = capsys.readouterr()
    (listed,) = json.loads(seen.out)
    assert (listed["id"], listed["kind"], listed["rounds"], listed["begun_at"]) == (run.id, "app", 1, 1_700_000_000)
    assert (listed["spent"]["units"], listed["price"]["units"]) == (4, 8)
    assert "bad" in seen.err
    assert main(["models", "show", "abab", "--home", str(tmp_path)], {}) == 1
    assert "is a run of the Flower app mine" in " ".join(capsys.readouterr().err.split())


def test_a_run_of_an_app_that_does_not_say_how_it_is_asked_is_still_read(tmp_path):
    """Its file is of an earlier version: it goes on as a run that was begun without a word."""
    file = begun(tmp_path).folder / kept.FILE
    before = json.loads(file.read_text())
    file.write_text(
        json.dumps({key: before[key] for key in before.keys() - {"purpose", "reason", "by_residence", "patience"}})
    )
    (run,) = kept.every(tmp_path)
    assert run.terms == Terms(fresh=True)


def test_a_run_of_an_app_is_taken_up_with_its_app(tmp_path, monkeypatch):
    """Without it the id is of no model's run, and it is said whose it is."""
    begun(tmp_path)
    unknown = FarrError("unknown-run", "none")
    monkeypatch.setattr("farr.training.run.resume", lambda *_asked, **_told: (_ for _ in ()).throw(unknown))
    for identifier, code in (("abab", "app-run"), ("cd", "unknown-run")):
        with pytest.raises(FarrError) as refused:
            train._resumed(SimpleNamespace(folder=tmp_path), identifier, lambda _progress: None)
        assert refused.value.code == code
