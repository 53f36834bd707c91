"""An unmodified Flower app over a federation of real node processes: allowed, run, paid for, refused."""

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.numpy import load

import farr
from farr.hospital import apps
from farr.lab import up as labs
from farr.lab.hospitals import in_folders
from farr.lab.node_homes import policy_with
from farr.lab.watchdog import Watch
from node.apps import sandbox
from node.authority import policy as policies
from queries.agreed.catalogue_file import read_catalogue

ROOT = Path(__file__).resolve().parents[2]
DEMO = Path(farr.__file__).parent / "demo"
EXAMPLES = ROOT / "examples" / "flower"
EPSILON = 40.0

SECONDS = {"sklearn": 90, "pandas": 40}
"""Of a round: four hospitals each start a Python that imports Flower and scikit-learn, perhaps on one busy machine."""


def generous():
    """Return a policy under which a run may cost so much that its noise does not hide whether it worked."""
    lines = policy_with(100.0).split("\n")
    keys = ("approval_above_epsilon", "most_epsilon_per_question")
    return "\n".join(f"{line.split(' = ')[0]} = 50.0" if line.startswith(keys) else line for line in lines)


@contextmanager
def lab(folder, *names):
    """Run the demo's four heart centres; each allows these examples."""
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
        hospitals=in_folders(DEMO / "data" / "heart", None),
        mapping=DEMO / "heart_mapping.toml",
        policy=generous(),
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


def train(home, app, *options):
    """Run `farr train --app` and return what it printed."""
    words = ("train", "--home", str(home), "--app", str(app), "--epsilon", str(EPSILON), *options)
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
