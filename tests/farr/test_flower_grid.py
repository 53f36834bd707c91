"""Unmodified Flower apps over hospitals in this process: rounds, replies, prices, losses."""

from __future__ import annotations

import json
import shutil
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from safetensors.numpy import load

from farr.cli.train_app import train_app
from farr.errors import FarrError
from farr.flower import adapter, app, kept
from farr.flower.grid import FarrGrid, node_id
from farr.flower.rounds import RoundFailedError, RoundRefusedError
from farr.questions.asking import Terms
from tests.farr.flower_hospitals import EXAMPLES, Hospitals, heart


@pytest.fixture
def over(tmp_path):
    """Return what makes a run of an example over some hospitals."""

    def start(name="sklearn", **settings):
        begun = app.begin(EXAMPLES / name, tmp_path, epsilon=1.0, **settings)
        return begun, Hospitals(app=EXAMPLES / name, rows=heart(4), folder=tmp_path)

    return start


@pytest.fixture
def grid(over):
    """Return a grid of four hospitals, and the hospitals."""
    begun, hospitals = over()
    with adapter.task(3):
        yield FarrGrid(hospitals, *begun, config=begun[1].config, told=lambda _: None), hospitals


def train(grid, nodes, start=0.0):
    """Return a round of messages to some nodes, beginning with the same coefficient everywhere."""
    start = (np.full(7, start), np.zeros(1))
    content = RecordDict({"arrays": ArrayRecord(list(start)), "config": ConfigRecord({"server-round": 1})})
    return [Message(content, node, "train") for node in nodes]


def test_an_unmodified_app_trains_over_hospitals_as_over_their_mean(over):
    """FedAvg over the replies is, up to the grid of whole numbers, the mean of what the hospitals fitted."""
    begun, hospitals = over(config="num-server-rounds = 1")
    ran = app.run(EXAMPLES / "sklearn", begun, lambda *_: hospitals)
    assert ran.stopped is None
    (first, second) = hospitals.asked.values()
    assert [first.sent.kind, second.sent.kind] == ["train", "evaluate"]
    expected = np.mean([hospitals.added(first, site) for site in hospitals.rows], axis=0)
    model = np.concatenate([each.ravel() for _, each in sorted(load(ran.model.read_bytes()).items())])
    assert model == pytest.approx(expected, abs=1e-5)
    assert np.linalg.norm(expected) > 0.5


def test_models_of_rounds_that_are_over_are_not_held(over, monkeypatch):
    """Of a large network all rounds' together would not fit: beside the last there is the one that was just sent."""
    begun, hospitals = over()
    models, alive = [], []

    def spied(told, before=app.only_linear):
        def heard(arrays):
            models.append(weakref.ref(arrays))
            told(arrays)
            alive.append(sum(each() is not None for each in models))

        return before(heard)

    monkeypatch.setattr(app, "only_linear", spied)
    app.run(EXAMPLES / "sklearn", begun, lambda *_: hospitals)
    assert len(alive) == 3
    assert alive[-1] < 3


def test_a_query_of_pandas_gives_the_pooled_counts(over, capsys):
    """A sum over identical means is the sum over hospitals."""
    begun, hospitals = over("pandas")
    ran = app.run(EXAMPLES / "pandas", begun, lambda *_: hospitals)
    assert (ran.stopped, ran.model) == (None, None)
    pooled = pd.concat(hospitals.rows.values())
    fifties = pooled[(pooled.age >= 50) & (pooled.age < 60)]
    (line,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("  50")]
    assert [float(line[-2]), float(line[-1])] == [len(fifties), (fifties.disease != "0").sum()]


def test_a_network_of_pytorch_learns(over, capsys):
    """The third example, where PyTorch is installed."""
    pytest.importorskip("torch", reason="PyTorch is an optional extra and not installed here")
    begun, hospitals = over("torch")
    ran = app.run(EXAMPLES / "torch", begun, lambda *_: hospitals)
    assert ran.stopped is None
    shares = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines() if line.startswith("round")]
    assert len(shares) == 4
    assert shares[-1] > 0.65
    assert set(load(ran.model.read_bytes())) == {"inner.weight", "inner.bias", "outer.weight", "outer.bias"}


def test_every_reply_of_a_round_is_the_same_mean(grid):
    """Nothing of a single hospital is in any reply, and its weight is 1 whatever the app counted."""
    grid, hospitals = grid
    replies = grid.send_and_receive(train(grid, grid.get_node_ids()))
    assert len(replies) == len(hospitals.rows)
    assert len({reply.metadata.src_node_id for reply in replies}) == len(replies)
    contents = [reply.content for reply in replies]
    assert all(each["metrics"] == {"num-examples": 1} for each in contents)
    first = np.concatenate(contents[0]["arrays"].to_numpy_ndarrays())
    for each in contents:
        assert np.array_equal(np.concatenate(each["arrays"].to_numpy_ndarrays()), first)
    alone = [hospitals.added(next(iter(hospitals.asked.values())), site) for site in hospitals.rows]
    assert not any(np.allclose(first, each) for each in alone)


def test_pushing_and_pulling_is_the_same_as_sending(grid):
    """An app that polls gets each reply once."""
    grid, _ = grid
    identifiers = grid.push_messages(train(grid, grid.get_node_ids()))
    replies = grid.pull_messages(identifiers[:2]) + grid.pull_messages(identifiers)
    assert sorted(reply.metadata.reply_to_message_id for reply in replies) == sorted(identifiers)
    assert list(grid.pull_messages(identifiers)) == []


def test_a_hospital_that_is_lost_is_one_reply_less(grid):
    """It is told as unavailable; the mean is that of the others."""
    grid, hospitals = grid
    hospitals.lost = {"centre-2"}
    replies = grid.send_and_receive(train(grid, grid.get_node_ids()))
    gone = [reply.metadata.src_node_id for reply in replies if reply.has_error()]
    assert gone == [node_id("centre-2")]
    assert len(replies) == 4


def test_hospitals_that_are_away_are_no_nodes(grid):
    """A strategy waits for them or does without them, as it would over Flower's own server."""
    grid, hospitals = grid
    hospitals.away = {"centre-0"}
    assert set(grid.get_node_ids()) == {node_id(f"centre-{number}") for number in (1, 2, 3)}


def test_a_round_that_is_late_is_given_up_and_counted(grid):
    """Nobody has replied; what hospitals may have been charged counts as spent."""
    grid, hospitals = grid
    hospitals.late = True
    assert list(grid.send_and_receive(train(grid, grid.get_node_ids()), timeout=1)) == []
    assert hospitals.cancelled == list(hospitals.asked)
    assert grid._kept.spent_units == grid._kept.share


def test_a_round_that_was_answered_at_the_last_moment_is_not_thrown_away(grid):
    """Time was up, and hospitals had been charged: its sum is there, and the app sees it."""
    grid, hospitals = grid
    hospitals.late = True

    def cancel(_request):
        hospitals.late = False
        return False

    hospitals.cancel = cancel
    replies = grid.send_and_receive(train(grid, grid.get_node_ids()), timeout=1)
    assert [reply.has_error() for reply in replies] == [False] * 4
    assert [each.state for each in grid._kept.done_rounds] == ["answered"]


def test_a_round_that_could_not_be_pushed_is_pushed_again_as_the_same_one(grid):
    """An app that tries again, because the coordinator was away for a moment, pays for one round."""
    grid, hospitals = grid
    ask, fails = hospitals.ask, [True]

    def away(asked, request):
        ask(asked, request)
        if fails.pop():
            fails.append(False)
            raise FarrError("unreachable", "gone")

    hospitals.ask = away
    nodes = grid.get_node_ids()
    with pytest.raises(FarrError, match="gone"):
        grid.push_messages(train(grid, nodes))
    fails[:] = [False]
    replies = grid.send_and_receive(train(grid, nodes))
    assert len(replies) == 4
    assert len(hospitals.asked) == len(grid._kept.done_rounds) == 1


def test_messages_of_two_pushes_are_never_taken_for_each_other(grid):
    """An evaluation that is not asked has its own ids, so its replies are not those of the round after it."""
    grid, _ = grid
    nodes = grid.get_node_ids()
    skipped = grid.push_messages(
        [Message(RecordDict({"arrays": ArrayRecord([np.zeros(3)])}), node, "evaluate") for node in nodes]
    )
    asked = grid.push_messages(train(grid, nodes))
    assert not set(skipped) & set(asked)
    assert [reply.has_error() for reply in grid.pull_messages(asked)] == [False] * 4
    assert [reply.has_error() for reply in grid.pull_messages(skipped)] == [True] * 4


def test_people_are_told_once_that_a_round_is_held(over):
    """However often an app looks whether there is a reply."""
    begun, hospitals = over()
    wait, told, looks = hospitals.wait, [], []

    def holds(request, seconds, held):
        looks.append(seconds)
        held()
        if len(looks) < 5:
            raise FarrError("timeout", "not yet")
        return wait(request, seconds, held)

    hospitals.wait = holds
    with adapter.task(3):
        grid = FarrGrid(hospitals, *begun, config=begun[1].config, told=told.append)
        identifiers = grid.push_messages(train(grid, grid.get_node_ids()))
        while not grid.pull_messages(identifiers):
            pass
    assert len(looks) == 5
    assert [each.state for each in told] == ["asked", "held", "answered"]


@pytest.mark.parametrize("then", [{"away": {"centre-1"}}, {"away": {"centre-3"}}, {"gone": "centre-1"}])
def test_a_run_is_taken_up_whoever_is_connected_by_then(over, tmp_path, then):
    """Rounds that were asked are shown to the app as they were: with the hospitals of then, one that left too."""
    begun, hospitals = over()
    wait = hospitals.wait
    hospitals.away = {"centre-0"}

    def cut(request, seconds, held):
        if hospitals.asked[request].number == 3:
            raise FarrError("unreachable", "gone")
        return wait(request, seconds, held)

    hospitals.wait = cut
    app.run(EXAMPLES / "sklearn", begun, lambda *_: hospitals)
    hospitals.wait, hospitals.away = wait, then.get("away", set())
    there = hospitals.hospitals
    hospitals.hospitals = lambda: {site: up for site, up in there().items() if site != then.get("gone")}
    again = app.resume(EXAMPLES / "sklearn", tmp_path, begun[1].id[:8])
    ran = app.run(EXAMPLES / "sklearn", again, lambda *_: hospitals)
    assert ran.stopped is None
    first, *_, last = ran.kept.done_rounds
    assert first.sites == ("centre-1", "centre-2", "centre-3")
    assert "centre-0" in last.sites
    assert len(hospitals.asked) == 6


def test_a_round_that_was_paid_for_is_not_forgotten_because_nobody_tells_of_it(grid):
    """Taken up while the coordinator does not answer for it: it stays the round that was asked."""
    grid, hospitals = grid
    nodes = grid.get_node_ids()
    grid.send_and_receive(train(grid, nodes))
    grid._number, before = 0, list(grid._kept.done_rounds)

    def silent(_asked, _request):
        raise FarrError("unknown-member", "the analyst's certificate was renewed elsewhere")

    hospitals.ask = silent
    with pytest.raises(FarrError, match="renewed"):
        grid.push_messages(train(grid, nodes))
    assert grid._kept.done_rounds == before


def test_a_run_stops_before_the_round_that_would_exceed_its_price(over):
    """The round is not asked, the last model is kept, and what was spent is known."""
    begun, hospitals = over(rounds=3)
    ran = app.run(EXAMPLES / "sklearn", begun, lambda *_: hospitals)
    assert ran.stopped is not None
    assert ran.stopped.code == "run-over"
    assert len(hospitals.asked) == 3
    assert ran.model is not None
    assert ran.kept.spent_units == 21
    assert ran.kept.share * 3 <= ran.kept.rho_units


def test_a_run_that_was_broken_off_asks_no_round_twice(over, tmp_path):
    """Its releases are handed to the app once more, and the rest is asked."""
    begun, hospitals = over()
    calls = []

    def ask(asked, request, before=hospitals.ask):
        if len(calls) == 3:
            raise FarrError("unreachable", "gone")
        calls.append(request)
        before(asked, request)

    hospitals.ask = ask
    broken = app.run(EXAMPLES / "sklearn", begun, lambda *_: hospitals)
    assert broken.stopped.code == "unreachable"
    calls[:] = []
    hospitals.ask = lambda asked, request: hospitals.asked.setdefault(request, asked)
    again = app.resume(EXAMPLES / "sklearn", tmp_path, begun[1].id[:8])
    ran = app.run(EXAMPLES / "sklearn", again, lambda *_: hospitals)
    assert ran.stopped is None
    assert len(hospitals.asked) == 6
    assert ran.kept.spent_units == 6 * 7


@pytest.mark.parametrize("cut", [KeyboardInterrupt(), FarrError("unreachable", "gone")])
def test_who_runs_an_app_is_told_how_to_take_it_up(over, tmp_path, monkeypatch, capsys, cut):
    """Cut by Ctrl-C or by the network, in its second round; of one that asked nothing there is nothing to take up."""
    _, hospitals = over()
    wait, when = hospitals.wait, [2]

    def cuts(request, seconds, held):
        if hospitals.asked[request].number == when[0]:
            raise cut
        return wait(request, seconds, held)

    hospitals.wait = cuts
    monkeypatch.setattr("farr.flower.federated.Federated", lambda *_: hospitals)
    federation = SimpleNamespace(folder=tmp_path)
    with pytest.raises(type(cut)):
        train_app(federation, EXAMPLES / "sklearn", Terms(epsilon=1.0))
    said = capsys.readouterr().err
    assert "--resume" in said
    when.clear()
    when.append(0)
    train_app(federation, EXAMPLES / "sklearn", Terms(), resume=said.split()[-1])
    assert "6 rounds" in capsys.readouterr().out
    hospitals.hospitals = lambda: (_ for _ in ()).throw(FarrError("unreachable", "gone"))
    with pytest.raises(FarrError):
        train_app(federation, EXAMPLES / "sklearn", Terms(epsilon=1.0))
    assert "--resume" not in capsys.readouterr().err


def test_a_run_of_an_app_goes_on_as_it_was_begun(over, tmp_path, monkeypatch):
    """Its rounds are asked for the purpose, with the reason and with the patience that it began with."""
    _, hospitals = over()
    wait, asked = hospitals.wait, []
    hospitals.wait = lambda *_: (_ for _ in ()).throw(FarrError("unreachable", "gone"))

    def connected(_federation, _settings, keeping):
        asked.append(keeping.terms)
        return hospitals

    monkeypatch.setattr("farr.flower.federated.Federated", connected)
    federation = SimpleNamespace(folder=tmp_path)
    terms = Terms(epsilon=1.0, purpose="research", reason="prognosis", by_residence=True, patience=7200)
    with pytest.raises(FarrError):
        train_app(federation, EXAMPLES / "sklearn", terms)
    hospitals.wait = wait
    (kept_run,) = kept.every(tmp_path)
    train_app(federation, EXAMPLES / "sklearn", Terms(), resume=kept_run.id)
    assert asked == [replace(terms, epsilon=None, fresh=True)] * 2


def test_a_round_that_failed_is_asked_anew_and_counted(over, tmp_path):
    """What it may have cost is not lost from sight: the last round of the run is no longer covered by its price."""
    begun, hospitals = over()
    wait, failing = hospitals.wait, [2]

    def fails(request, seconds, held):
        if hospitals.asked[request].number in failing:
            raise RoundFailedError(FarrError("interrupted", "the coordinator went away"), charged=True)
        return wait(request, seconds, held)

    hospitals.wait = fails
    broken = app.run(EXAMPLES / "sklearn", begun, lambda *_: hospitals)
    assert (broken.stopped.code, broken.kept.spent_units) == ("interrupted", 7 + broken.kept.share)
    failing.clear()
    again = app.resume(EXAMPLES / "sklearn", tmp_path, begun[1].id[:8])
    ran = app.run(EXAMPLES / "sklearn", again, lambda *_: hospitals)
    assert [each.number for each in hospitals.asked.values()] == [1, 2, 2, 3, 4, 5, 6]
    assert ran.stopped is None
    assert ran.kept.spent_units == 6 * 7 + ran.kept.share <= ran.kept.rho_units


def test_failed_rounds_count_before_another_is_asked(over, tmp_path):
    """Where a failed round took its share of the price, the last round that the app wants is not asked."""
    begun, hospitals = over()
    wait, failing = hospitals.wait, [2]

    def dear(request, seconds, held):
        if hospitals.asked[request].number in failing:
            raise RoundFailedError(FarrError("interrupted", "the coordinator went away"), charged=True)
        return replace(wait(request, seconds, held), rho_units=begun[1].share)

    hospitals.wait = dear
    app.run(EXAMPLES / "sklearn", begun, lambda *_: hospitals)
    failing.clear()
    again = app.resume(EXAMPLES / "sklearn", tmp_path, begun[1].id[:8])
    ran = app.run(EXAMPLES / "sklearn", again, lambda *_: hospitals)
    assert ran.stopped.code == "run-over"
    assert ran.kept.spent_units == 6 * ran.kept.share <= ran.kept.rho_units
    assert ran.model is not None


def test_a_round_that_failed_before_any_hospital_was_asked_costs_nothing(over):
    """As where the hospitals' policies do not name the app."""
    begun, hospitals = over()

    def refused(_request, _seconds, _held):
        raise RoundFailedError(FarrError("policy", "not named"), charged=False)

    hospitals.wait = refused
    ran = app.run(EXAMPLES / "sklearn", begun, lambda *_: hospitals)
    assert (ran.stopped.code, ran.kept.spent_units) == ("policy", 0)


def test_a_round_that_was_kept_and_has_expired_is_asked_under_another_id(over, tmp_path):
    """Killed before it was sent, taken up days later: the run goes on."""
    begun, hospitals = over()
    ask, calls = hospitals.ask, []

    def cut(asked, request):
        calls.append(request)
        if len(calls) == 2:
            raise FarrError("unreachable", "gone")
        if len(calls) == 4:
            assert request == calls[1]
            raise RoundRefusedError(FarrError("expired", "request"))
        ask(asked, request)

    hospitals.ask = cut
    app.run(EXAMPLES / "sklearn", begun, lambda *_: hospitals)
    again = app.resume(EXAMPLES / "sklearn", tmp_path, begun[1].id[:8])
    ran = app.run(EXAMPLES / "sklearn", again, lambda *_: hospitals)
    assert (ran.stopped, ran.kept.spent_units) == (None, 6 * 7)


@pytest.mark.parametrize("identifier", ["", "..", "../runs", "*", "[0-9a-f]"])
def test_a_run_is_found_by_its_id_and_by_nothing_else(over, tmp_path, identifier):
    """No pattern and no other folder."""
    begun, _ = over()
    begun[1].save()
    with pytest.raises(FarrError) as refused:
        app.resume(EXAMPLES / "sklearn", tmp_path, identifier)
    assert refused.value.code == "no-run"


def test_an_app_that_does_not_repeat_itself_is_not_resumed(grid):
    """A round is the one that was paid for, or none."""
    grid, _ = grid
    grid.send_and_receive(train(grid, grid.get_node_ids()))
    grid._number = 0
    with pytest.raises(FarrError, match="another one"):
        grid.send_and_receive(train(grid, grid.get_node_ids(), 1.0))


def test_what_is_kept_of_a_run_is_read_as_it_was_written(over, tmp_path):
    """All that a run needs to go on."""
    (settings, begun), hospitals = over()
    app.run(EXAMPLES / "sklearn", (settings, begun), lambda *_: hospitals)
    assert kept.read(begun.folder) == begun
    assert oct((begun.folder / kept.FILE).stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "[" * 100_000,
        '{"format": 1}',
        '{"format": 2}',
        "whole",
        '{"rounds": 0}',
        '{"rho_units": "7"}',
        '{"config": 7}',
        '{"id": "00000000000000000000000000000000"}',
        '{"done_rounds": [7]}',
        '{"done_rounds": [{"number": "1"}]}',
    ],
)
def test_a_file_that_is_no_runs_is_refused(over, text):
    """Damaged, of another version, or of another run: said at once, and nothing is asked on the strength of it."""
    (_, begun), _ = over()
    begun.save()
    file = begun.folder / kept.FILE
    if text == "whole":
        file.write_bytes(b"\xff" + file.read_bytes())
    elif text.startswith('{"format"'):
        file.write_text(text)
    elif text.startswith("{"):
        file.write_text(json.dumps(json.loads(file.read_text()) | json.loads(text)))
    else:
        file.write_text(text)
    with pytest.raises(FarrError) as refused:
        kept.read(begun.folder)
    assert refused.value.code == "no-run"


def test_an_evaluation_that_declares_nothing_costs_nothing(grid):
    """Hospitals are not asked, and the strategy hears that nobody answered."""
    grid, hospitals = grid
    content = RecordDict({"arrays": ArrayRecord([np.zeros(3)])})
    replies = grid.send_and_receive([Message(content, node, "evaluate") for node in grid.get_node_ids()])
    assert all(reply.has_error() for reply in replies)
    assert hospitals.asked == {}
    with pytest.raises(FarrError, match="nobody declared"):
        grid.push_messages([Message(content, node, "query") for node in grid.get_node_ids()])


def test_a_message_to_a_stranger_or_two_to_one_hospital_are_refused(grid):
    """Before anything is asked."""
    grid, hospitals = grid
    (node, *_) = grid.get_node_ids()
    for nodes in ([node, 5], [node, node]):
        with pytest.raises(FarrError):
            grid.push_messages(train(grid, nodes))
    assert hospitals.asked == {}


def test_a_median_is_refused_before_anything_is_asked(over, tmp_path):
    """An app whose strategy would be silently wrong does not run."""
    folder = tmp_path / "app"
    shutil.copytree(EXAMPLES / "sklearn", folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "heart_sklearn" / "server_app.py"
    file.write_text(file.read_text().replace("FedAvg", "FedMedian"))
    _, hospitals = over()
    begun = app.begin(folder, tmp_path, epsilon=1.0)
    ran = app.run(folder, begun, lambda *_: hospitals)
    assert ran.stopped.code == "strategy"
    assert hospitals.asked == {}


def test_noise_is_told_with_every_round(over):
    """People see how coarse a round's mean is."""
    begun, hospitals = over()
    hospitals.noise, told = 0.01, []
    app.run(EXAMPLES / "sklearn", begun, lambda *_: hospitals, told.append)
    answered = [each for each in told if each.state == "answered"]
    assert [each.number for each in answered] == list(range(1, 7))
    assert answered[0].noise == pytest.approx(0.01 * 2.0 / 4)
    assert answered[-1].spent_units == 42
