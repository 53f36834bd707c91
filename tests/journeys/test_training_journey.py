"""Training over real processes: the four heart centres, from the command line, cut off and taken up again."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

import farr
from farr.lab import up as labs
from farr.lab.hospitals import in_folders
from farr.lab.node_homes import policy_of
from farr.lab.watchdog import Watch
from farr.training.frames import Rows, design_of
from farr.training.model_file import read_file
from farr.training.rehearsal import exactly
from farr.training.terms import prepare
from node.records.mapping import read_mapping
from queries.agreed.catalogue_file import read_catalogue
from tests.journeys.centres import pooled

ROOT = Path(farr.__file__).parents[1]
DEMO = ROOT / "farr" / "demo"
HEART = ROOT / "docs" / "examples" / "models" / "heart.toml"
DIABETES = ROOT / "docs" / "examples" / "diabetes"
SHARED = ROOT.parent / "shared" / "data" / "diabetes_130_hospitals" / "diabetic_data.csv.gz"
SOON = 100

POLICY = policy_of(
    lifetime_epsilon="20.0", epsilon_per_period="20.0", statistics="20.0", newcomer_days="0",
    most_epsilon_per_question="10.0", approval_above_epsilon="10.0",
).replace("# research = 3.0\n", "research = 20.0\n")  # fmt: skip


def command(*arguments):
    """Run `farr` and return the finished process."""
    words = [sys.executable, "-m", "farr", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=SOON)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The four centres, each a process."""
    home = tmp_path_factory.mktemp("lab") / "home"
    catalogue = read_catalogue((DEMO / "heart.toml").read_bytes(), "heart.toml")
    federation = labs.Federation(
        catalogue=catalogue,
        hospitals=in_folders(DEMO / "data" / "heart", None),
        mapping=DEMO / "heart_mapping.toml",
        policy=POLICY,
    )
    with Watch(home.resolve()) as watch:
        labs.up(home, federation, watch)
        yield home
        labs.down(home)


def requests(lab):
    """Return the ids of all requests from the lab's analyst."""
    with farr.connect(lab) as federation:
        return {each.id for each in federation.requests()}


def remaining(lab):
    """Return what each hospital's patients have left, in ledger units."""
    with farr.connect(lab) as federation:
        return {each.id: each.remaining_units for each in federation.budget()}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """The pooled records of the centres, as their nodes prepare them, with the centre's public facts."""
    return pooled(tmp_path_factory.mktemp("pooled"))


def area(score, event):
    """Return the area under the ROC curve."""
    ranks = pd.Series(score).rank()
    yes = np.asarray(event, dtype=bool)
    return (ranks[yes].sum() - yes.sum() * (yes.sum() + 1) / 2) / (yes.sum() * (~yes).sum())


def test_the_centres_train_a_model_that_predicts(lab, records, tmp_path):
    """Its interval-less errors aside it ranks patients well, and each coefficient lies where its interval says."""
    trained = command("train", HEART, "--home", lab, "--output", tmp_path, "--json")
    assert trained.returncode == 0, trained.stderr
    said = json.loads(trained.stdout)
    assert said["hospitals"]["in_every_round"] == ["cleveland", "hungarian", "switzerland", "va"]
    assert said["privacy"]["epsilon"] <= 3.0
    foreseen = json.loads(command("train", HEART, "--home", lab, "--dry-run", "--patients", "300", "--json").stdout)
    assert foreseen["rounds"] == len(said["run"]["releases"])
    assert foreseen["hospitals"] == said["hospitals"]["asked"]
    # Never more than was foreseen, and what is left over is the rounding of a few rounds.
    assert 0.999999 * foreseen["cost"]["units"] < said["privacy"]["units"] <= foreseen["cost"]["units"]
    model = farr.load_model(tmp_path / "heart.json")
    prepared = model.prepared
    rows = Rows(records, prepared.setting)
    design = design_of(prepared.step, rows, prepared.setting)
    pooled = exactly(prepared.model, prepared.shape, [design])
    away = (model.fitted.coefficients - pooled.coefficients) / model.fitted.noise_errors
    assert (np.abs(away) < 5).all()
    event = (records["disease"] != "0").where(records["disease"].notna())
    known = event.notna()
    score = model.predictor(records)
    assert area(score[known], event[known]) > 0.65


def test_a_run_that_was_interrupted_is_taken_up_and_costs_once(lab):
    """Ctrl-C in the third round: the run stays, --resume ends it, and the hospitals are charged for one run."""
    before = remaining(lab)
    process = subprocess.Popen(
        [sys.executable, "-m", "farr", "train", str(HEART), "--home", str(lab), "--progress"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line.startswith("round 3"):
            process.send_signal(signal.SIGINT)
            break
    _said, told = process.communicate(timeout=SOON)
    assert process.returncode == 130
    assert "--resume" in told
    (kept,) = [
        each
        for each in json.loads(command("models", "list", "--home", lab, "--json").stdout)
        if each["state"] == "running"
    ]
    again = command("train", "--resume", kept["id"][:8], "--home", lab, "--json")
    assert again.returncode == 0, again.stderr
    said = json.loads(again.stdout)
    assert said["training"]["finished"]
    assert len(set(said["run"]["releases"])) == len(said["run"]["releases"])
    after = remaining(lab)
    spent = {before[site] - after[site] for site in before}
    assert spent == {said["privacy"]["units"]}
    assert said["privacy"]["units"] <= kept["price"]["units"]


def test_a_run_beyond_the_budget_is_not_begun(lab):
    """What the hospitals are known not to have left is refused before a request leaves, with what to do."""
    asked = requests(lab)
    refused = command("train", HEART, "--home", lab, "--epsilon", "19.9", "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["error"]["code"] == "budget"
    assert requests(lab) == asked


def test_a_dry_run_and_fake_rows_ask_nobody(lab, tmp_path):
    """Neither makes a request, and what comes of fake rows says that it is fake."""
    asked = requests(lab)
    told = json.loads(command("train", HEART, "--home", lab, "--dry-run", "--patients", "300", "--json").stdout)
    assert told["rehearsal"]["fake"]
    assert told["bytes"]["up"] > 0
    made = command("train", HEART, "--home", lab, "--fake", "--patients", "300", "--output", tmp_path)
    assert made.returncode == 0, made.stderr
    assert "fake" in made.stdout
    assert farr.load_model(tmp_path / "heart_fake.json").fake
    assert requests(lab) == asked


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--resume", "5f44", "--epsilon", "2"), "as it was begun"),
        (("--resume", "5f44", "--rounds", "9"), "as it was begun"),
        ((str(HEART), "--config", "lr = 1"), "--app"),
        (("--app", "x", "--resume", "5f44", "--dry-run"), "one of the two"),
    ],
)
def test_what_would_be_dropped_in_silence_is_refused(words, said):
    """A run that was begun keeps its price, and settings of apps are no model's."""
    refused = command("train", *words)
    assert refused.returncode == 2
    assert said in " ".join(refused.stderr.split())


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_file(), reason="the diabetes set is not beside the repository")
def test_readmission_of_patients_with_several_stays(tmp_path):
    """The example on the diabetes set over five surrogate hospitals: prior stays raise the odds, as is well known."""
    data = tmp_path / "stay.csv"
    with duckdb.connect() as database:
        rows = f"read_csv('{SHARED}', all_varchar = true)"
        split = f"SELECT *, 'h' || (patient_nbr::BIGINT % 5) AS hospital FROM {rows}"
        database.execute(f"COPY ({split}) TO '{data}' (HEADER)")
    home = tmp_path / "lab"
    up = command(
        "lab", "up", "--home", home, "--catalogue", DIABETES / "catalogue.toml", "--mapping", DIABETES / "mapping.toml",
        "--split-by", "hospital", "--table", "stay", "--data", data,
    )  # fmt: skip
    assert up.returncode == 0, up.stderr
    try:
        model = ROOT / "docs" / "examples" / "models" / "readmission.toml"
        trained = command("train", model, "--home", home, "--json")
        assert trained.returncode == 0, trained.stderr
        said = json.loads(trained.stdout)
    finally:
        command("lab", "down", "--home", home)
    found = {each["name"]: each for each in said["coefficients"]}
    assert found["inpatient_before"]["low"] > 0
    auc = said["evaluation"]["figures"]["auc"]
    assert 0.55 < auc["value"] < 0.75


def test_the_example_of_the_diabetes_set_fits_its_catalogue():
    """Recipe, catalogue and mapping go together."""
    catalogue = read_catalogue((DIABETES / "catalogue.toml").read_bytes(), "catalogue.toml")
    recipe = read_file(ROOT / "docs" / "examples" / "models" / "readmission.toml")
    prepared = prepare(recipe, catalogue, {f"h{place}": {} for place in range(5)})
    assert prepared.part.bound.rows == 2
    read_mapping((DIABETES / "mapping.toml").read_bytes(), "mapping.toml")
