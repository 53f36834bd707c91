"""An unmodified Flower app over a federation of real node processes: allowed, run, paid for, refused."""

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

import farr
from farr.flower import app as flower_app
from farr.flower import plain
from farr.hospital import apps
from farr.lab import up as labs
from farr.lab.hospitals import in_folders
from farr.lab.node_homes import policy_with
from farr.lab.watchdog import Watch
from node.apps import sandbox
from node.authority import policy as policies
from queries.agreed.catalogue_file import read_catalogue
from tests.farr.flower_hospitals import Hospitals
from tests.journeys.centres import pooled

ROOT = Path(__file__).resolve().parents[2]
DEMO = Path(farr.__file__).parent / "demo"
EXAMPLES = ROOT / "examples" / "flower"
EPSILON = 40.0

SECONDS = {"sklearn": 90, "pandas": 40, "torch": 60}
"""Of a round: four hospitals each start a Python that imports Flower and a library, perhaps on one busy machine."""

NO_TORCH = "PYTORCH IS NOT INSTALLED (pip install 'farr[torch]'): this journey has not been made"
NO_RAY = "RAY OR PYTORCH IS NOT INSTALLED (pip install 'flwr[simulation]' 'farr[torch]'): no simulation was run"


def generous(most="50.0"):
    """Return a policy under which a run may cost so much that its noise does not hide whether it worked."""
    lines = policy_with(100.0).split("\n")
    keys = ("approval_above_epsilon", "most_epsilon_per_question")
    return "\n".join(f"{line.split(' = ')[0]} = {most}" if line.startswith(keys) else line for line in lines)


@contextmanager
def lab(folder, *names, data=DEMO / "data" / "heart", most="50.0"):
    """Run the demo's four heart centres, or others of their names; each allows these examples."""
    for name in names:
        shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        file = folder / name / "pyproject.toml"
        lines = [
            f"seconds = {SECONDS[name]}" if line.startswith("seconds") else line
            for line in file.read_text().split("\n")
        ]
        file.write_text("\n".join(lines))
    text = (DEMO / "heart.toml").read_bytes()
    described = labs.Federation(
        catalogue=read_catalogue(text, "heart.toml"),
        hospitals=in_folders(data, None),
        mapping=DEMO / "heart_mapping.toml",
        policy=generous(most),
    )
    home = folder / "lab"
    with Watch(home) as watch:
        labs.up(home, described, watch)
        try:
            for node in sorted((home / "nodes").iterdir()):
                digests = [apps.allow(node, folder / name).digest for name in names]
                policy = node / policies.FILE
                named = ", ".join(f'"{digest}"' for digest in digests)
                policy.write_text(policy.read_text().replace("apps = []", f"apps = [{named}]"))
            yield home, dict(zip(names, digests, strict=True))
        finally:
            labs.down(home)


def train(home, app, *options, epsilon=EPSILON):
    """Run `farr train --app` and return what it printed."""
    words = ("train", "--home", str(home), "--app", str(app), "--epsilon", str(epsilon), *options)
    return subprocess.run(
        [sys.executable, "-m", "farr", *words], capture_output=True, text=True, check=False, timeout=280, cwd=ROOT
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(bool(sandbox.why_none()), reason=f"no sandbox can be made here: {sandbox.why_none()}")
def test_unmodified_apps_run_over_node_processes(tmp_path):
    """The whole way: one round of training and its evaluation, then a query."""
    with lab(tmp_path, "sklearn", "pandas") as (home, digests):
        trained = train(home, tmp_path / "sklearn", "--config", "num-server-rounds = 1", "--rounds", "2", "--json")
        assert trained.returncode == 0, trained.stderr
        told = json.loads(trained.stdout)
        assert [each["kind"] for each in told["rounds"]] == ["train", "evaluate"]
        assert all(len(each["answered"]) == 4 for each in told["rounds"])
        assert {name: array.shape for name, array in load(Path(told["model"]).read_bytes()).items()} == {
            "0": (7,),
            "1": (1,),
        }
        assert told["spent"]["epsilon"] <= EPSILON
        counted = train(home, tmp_path / "pandas")
        assert counted.returncode == 0, counted.stderr
        assert "50 to 59" in counted.stdout
        for node in (home / "nodes").iterdir():
            endings = {name: [each.ending for each in apps.latest(node, digests[name])] for name in digests}
            assert endings == {"sklearn": ["answered", "answered"], "pandas": ["answered"]}, node.name


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(find_spec("torch") is None, reason=NO_TORCH)
@pytest.mark.skipif(bool(sandbox.why_none()), reason=f"no sandbox can be made here: {sandbox.why_none()}")
def test_a_network_of_pytorch_runs_over_node_processes(tmp_path):
    """Weights move at four sandboxed hospitals as they do in memory, but for the noise; what was charged is said."""
    # All of them have one centre's rows, so that their updates agree and their mean is not lost in the noise.
    data, heart = tmp_path / "data", DEMO / "data" / "heart"
    data.mkdir()
    shutil.copy(heart / "hospitals.toml", data)
    for centre in ("cleveland", "hungarian", "switzerland", "va"):
        shutil.copytree(heart / "cleveland", data / centre)
    with lab(tmp_path, "torch", data=data, most="100.0") as (home, digests):
        before = remaining(home)
        app, options = tmp_path / "torch", ("--config", "num-server-rounds = 1", "--rounds", "2", "--json")
        trained = train(home, app, *options, epsilon=100.0)
        assert trained.returncode == 0, trained.stderr
        told = json.loads(trained.stdout)
        assert [(each["kind"], len(each["answered"])) for each in told["rounds"]] == [("train", 4), ("evaluate", 4)]
        assert told["app"]["digest"] == digests["torch"]
        # What an app prints is its own: of a script's it is beside the JSON.
        assert "round 1: accuracy" in trained.stderr
        for node in (home / "nodes").iterdir():
            assert [each.ending for each in apps.latest(node, digests["torch"])] == ["answered", "answered"], node.name
        after = remaining(home)
        assert {before[site] - after[site] for site in before} == {told["spent"]["units"]}
    records = pooled(tmp_path / "pooled")
    rows = dict.fromkeys(before, records[records["site"] == "cleveland"])
    begun = flower_app.begin(app, tmp_path, epsilon=EPSILON, rounds=2, config="num-server-rounds = 1")
    exact = flower_app.run(app, begun, lambda *_: Hospitals(app=app, rows=rows, folder=tmp_path))
    noisy, still = (load(Path(path).read_bytes()) for path in (told["model"], exact.model))
    start = first_weights()
    assert {name: array.shape for name, array in noisy.items()} == {name: each.shape for name, each in start.items()}
    moved, wanted = (
        np.concatenate([(model[name] - start[name]).ravel() for name in start]) for model in (noisy, still)
    )
    # The noise leaves about three quarters of it; were it noise alone, an eighth would be one standard deviation.
    assert moved @ wanted / np.linalg.norm(moved) / np.linalg.norm(wanted) > 0.4


def remaining(home):
    """Return what each hospital's patients have left, in ledger units."""
    with farr.connect(home) as federation:
        return {hospital.id: hospital.remaining_units for hospital in federation.budget()}


def first_weights():
    """Return the weights with which the example's ServerApp begins."""
    code = (
        "import sys, torch; sys.path.insert(0, sys.argv[1]); from heart_torch.network import Network; "
        "from safetensors.torch import save; torch.manual_seed(1); "
        "sys.stdout.buffer.write(save(Network().state_dict()))"
    )
    words = [sys.executable, "-c", code, str(EXAMPLES / "torch")]
    return load(subprocess.run(words, capture_output=True, check=True, timeout=120).stdout)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(find_spec("torch") is None or find_spec("ray") is None, reason=NO_RAY)
def test_the_same_app_runs_on_flowers_simulation_engine():
    """The same folder, with a warning that nothing of Farr protects anybody there."""
    words = [sys.executable, "-m", "farr.flower.plain", str(EXAMPLES / "torch"), "--nodes", "2"]
    words += ["--config", "num-server-rounds=1"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=280, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stderr.count(plain.WARNING) == 2
    (line,) = [line for line in done.stdout.splitlines() if "round 1: accuracy" in line]
    assert 0.5 < float(line.rpartition(" ")[2]) <= 1
