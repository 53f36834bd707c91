"""What an app's file says to Farr: read without running any code of the app, refused with the reason."""

from __future__ import annotations

import shutil

import pytest

from farr.errors import FarrError
from farr.flower import app, settings
from tests.farr.flower_hospitals import EXAMPLES

GOOD = """
[project]
name = "mine"

[tool.flwr.app.components]
serverapp = "mine.server:app"
clientapp = "mine.client:app"

[tool.flwr.app.config]
num-server-rounds = 4
model.rate = 0.5

[tool.farr]
table = "stay"
columns = ["sex", "age", "age"]
"""


@pytest.fixture
def folder(tmp_path):
    """Return a folder with the file of an app, with some text replaced."""

    def write(old="", new="", more=""):
        (tmp_path / "pyproject.toml").write_text(GOOD.replace(old, new) + more)
        return tmp_path

    return write


def test_an_apps_file_is_read_without_its_code(folder):
    """Everything that a run needs is in the file; the code is not even there."""
    read = settings.read(folder())
    assert (read.name, read.component, read.table, read.columns) == ("mine", "mine.server:app", "stay", ("age", "sex"))
    assert read.config == {"num-server-rounds": 4, "model.rate": 0.5}
    assert (read.clip, read.seconds, read.where, read.rows_per_patient) == (1.0, settings.SECONDS, "", None)


@pytest.mark.parametrize("name", ["sklearn", "pandas", "torch"])
def test_the_examples_say_what_they_need(name):
    """Each names a table and columns, and how many rounds it asks for."""
    read = settings.read(EXAMPLES / name)
    assert read.table == "angiography"
    assert read.rounds_of(read.config) == read.rounds


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[tool.farr]", "[tool.other]", "columns"),
        ('table = "stay"', "", "names no table"),
        ('"sex"', "3", "no list of names"),
        ("[tool.farr]", "[tool.farr]\nclipp = 2", "perhaps clip"),
        ("[tool.farr]", "[tool.farr]\nclip = -1", "clip is no number"),
        ("[tool.farr]", "[tool.farr]\nclip = true", "clip is no number"),
        ("[tool.farr]", "[tool.farr]\nseconds = 0", "seconds is no whole number"),
        ("[tool.farr]", "[tool.farr]\nrounds = 1.5", "rounds is no whole number"),
        ("[tool.farr]", "[tool.farr]\nwhere = 3", "where is no text"),
        ("[tool.farr]", "[tool.fare]", r"has no \[tool.farr\] - write .* columns = "),
        ('columns = ["sex", "age", "age"]', "", "no columns"),
        ('serverapp = "mine.server:app"', "", "no serverapp"),
        ("model.rate = 0.5", "rates = [1, 2]", "no Flower app"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(folder, old, new, words):
    """By its key, with the nearest one that there is."""
    with pytest.raises(FarrError, match=words):
        settings.read(folder(old, new))


@pytest.mark.parametrize("more", ["entries = []", "entries = ['a']\nbounds = 2", "bound = [1]", "record = ''"])
def test_a_wrong_declaration_is_refused(folder, more):
    """What an evaluation gives has to be named."""
    with pytest.raises(FarrError):
        settings.read(folder(more=f"\n[tool.farr.evaluate]\n{more}\n"))


def test_settings_are_replaced_by_some_of_the_same_kind(folder):
    """Only those that the app has."""
    config = settings.read(folder()).config
    assert settings.over(config, "num-server-rounds = 2; model.rate = 0.1") == {
        "num-server-rounds": 2,
        "model.rate": 0.1,
    }
    assert settings.over({"rate": 0.1}, "rate = 1") == {"rate": 1.0}
    rounds = "num-server-rounds"
    for wrong in (f"{rounds} = '2'", f"{rounds} = 1.5", f"{rounds} = true", "rounds = 2", "a b"):
        with pytest.raises(FarrError):
            settings.over(config, wrong)


def test_the_price_is_divided_over_as_many_rounds_as_the_app_says(folder):
    """By its file; else by Flower's own setting, twice where evaluations are asked as well; else nobody knows."""
    read = settings.read(folder())
    assert read.rounds_of(read.config) == 4
    assert settings.read(folder("[tool.farr]", "[tool.farr]\nrounds = 7")).rounds_of({}) == 7
    evaluated = settings.read(folder(more="\n[tool.farr.evaluate]\nentries = ['loss']\n"))
    assert evaluated.rounds_of(evaluated.config) == 8
    with pytest.raises(FarrError, match="how many rounds"):
        read.rounds_of({})


def test_a_change_of_code_ends_a_run(tmp_path):
    """A run is resumed with the very files that it was begun with."""
    folder = tmp_path / "app"
    shutil.copytree(EXAMPLES / "pandas", folder, ignore=shutil.ignore_patterns("__pycache__"))
    _, begun = app.begin(folder, tmp_path, epsilon=1.0)
    begun.save()
    assert app.resume(folder, tmp_path, begun.id[:6])[1] == begun
    (folder / "heart_pandas" / "more.py").write_text("")
    with pytest.raises(FarrError, match="not the one"):
        app.resume(folder, tmp_path, begun.id)
    with pytest.raises(FarrError, match="no run"):
        app.resume(folder, tmp_path, "ffff")
