"""The demo, as a newcomer runs it: it ends by itself, says what is right, and leaves nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from farr.demo.questions import QUESTIONS

SOON = 120


def processes_of(folder):
    """Return the processes that carry a mark of a lab in the folder."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"FARR_LAB={folder}/".encode() in environ.read_bytes():
                found.append(environ.parent.name)
        except OSError:
            continue
    return found


def start(folder, *arguments):
    """Start the demo with its temporary folder inside ``folder``."""
    folder.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "farr", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The demo, run once: exit code, output, what it wrote, its folder, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("demo")
    begun = time.monotonic()
    demo = start(folder / "tmp", "--json", str(folder / "demo.json"), "--lang", "zh")
    out, err = demo.communicate(timeout=SOON)
    seconds = time.monotonic() - begun
    assert demo.returncode == 0, out + err
    return {
        "out": out,
        "seconds": seconds,
        "folder": folder / "tmp",
        "plain": json.loads((folder / "demo.json").read_text(encoding="utf-8")),
    }


def test_the_demo_ends_soon_and_leaves_nothing(ran):
    """Under a minute and a half, no process and no folder of it remain."""
    assert ran["seconds"] < 90
    assert processes_of(ran["folder"]) == []
    assert list(ran["folder"].iterdir()) == []


def test_ten_hospitals_or_more_answer_six_questions(ran):
    """Each question went to all hospitals and was answered by all."""
    plain = ran["plain"]
    assert len(plain["hospitals"]) >= 10
    assert [each["id"] for each in plain["questions"]] == [question.id for question in QUESTIONS]
    for each in plain["questions"]:
        assert each["answer"]["sites"]["answered"] == len(plain["hospitals"])
        assert each["title"]["en"]
        assert each["title"]["zh"]


def test_the_answers_are_right_up_to_their_noise(ran):
    """Every figure with a known noise lies within five deviations of the exact value; most intervals hold it."""
    plain = ran["plain"]
    checked = 0
    for each in plain["questions"]:
        for name, deviation in each["answer"]["privacy"]["noise_sd"].items():
            if deviation is not None:
                checked += len(each["rows"])
                assert all(abs(row[name]["error"]) < 5 * deviation for row in each["rows"]), (each["id"], name)
    assert checked >= 25
    # With 39 intervals at 95 %, fewer than 30 hold the exact value once in 10^5 runs.
    assert plain["coverage"]["covered"] >= 0.75 * plain["coverage"]["figures"]


def test_the_refusals_are_coded_and_cost_nothing(ran):
    """Records are refused with the place, a dear question by the hospitals; only answers and the model were charged."""
    plain = ran["plain"]
    assert plain["refused"]["error"]["code"] == "statement"
    assert plain["refused_by_hospitals"]["error"]["code"] == "cost-limit"
    assert plain["again"]["answer"]["cost"]["units"] == 0
    charged = sum(each["answer"]["cost"]["units"] for each in plain["questions"])
    # A run is reported at the prices that were agreed; hospitals charge what the noise comes to, a thousandth less.
    most = plain["model"]["privacy"]["units"]
    (spent,) = {each["spent"]["units"] for each in plain["budget"]}
    assert charged + 0.998 * most <= spent <= charged + most


def test_a_model_is_trained_beside_the_pooled_one(ran):
    """At the price agreed; coefficients lie within five errors of the pooled fit, and patients are ranked as well."""
    model = ran["plain"]["model"]
    assert model["privacy"]["epsilon"] <= float(model["model"]["privacy"]["epsilon"])
    assert model["rounds"] >= 3
    assert len(model["coefficients"]) == 5
    assert all(abs(each["value"] - each["exact"]) < 5 * each["error"] for each in model["coefficients"])
    assert 0.75 < model["area"]["exact"] < 0.78
    assert model["area"]["trained"] > model["area"]["exact"] - 0.05
    held_out = model["evaluation"]["figures"]["auc"]
    assert held_out["low"] < held_out["value"] < held_out["high"]
    assert "比值比" in ran["out"]


def test_the_demo_speaks_chinese(ran):
    """Titles, column names and the summary are Chinese where that is asked for."""
    for question in QUESTIONS:
        assert question.title.zh in ran["out"]
        assert question.title.en not in ran["out"]
    assert "死亡百分比" in ran["out"]


def test_an_interrupted_demo_cleans_up(tmp_path):
    """Ctrl-C ends it with 130; no process and no folder of it remain."""
    demo = start(tmp_path / "tmp")
    deadline = time.monotonic() + SOON
    while len(processes_of(tmp_path / "tmp")) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=SOON)
    assert demo.returncode == 130
    assert processes_of(tmp_path / "tmp") == []
    assert list((tmp_path / "tmp").iterdir()) == []
