"""An app of Flower's public API runs at a hospital, and Flower still has what the adapter uses of it."""

import hashlib
import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

from node.apps import reports, sandbox
from node.apps.allowed import AppStore
from node.apps.bundle import read_bundle
from node.apps.rows import parquet_of
from node.apps.rules import AppRules
from node.apps.running import Apps
from node.scan.steps import AppRows
from protocols.app_entries import entries_of
from protocols.app_message import AppMessage, Arrays, Config, Metrics, Record, decode, encode
from queries.asked.plan import ONE, AppStep
from queries.models.clipping import BOUND_UPDATE

pytest.importorskip("flwr", reason="the extra `train` is not installed")
MEAN = Path(__file__).resolve().parents[1] / "apps" / "mean"
ROWS = AppRows(table="visits", columns={"age": np.array([40.0, 60.0, np.nan])})
runs = pytest.mark.skipif(
    sys.platform != "linux" or bool(sandbox.why_none()), reason="NO SANDBOX ON THIS MACHINE: apps are not run"
)


def ask(home: Path, kind: str, *, settings: dict[str, float] | None = None, **config) -> np.ndarray:
    """Run one round of the app and return what it moved, in its own units."""
    records: dict[str, Record] = {"arrays": Arrays(items={"0": np.array([10.0])})}
    if config:
        records["config"] = Config(items=config)
    message = AppMessage(kind=kind, records=records, settings=settings or {})
    sent = encode(message)
    app = AppStore(home=home).keep(read_bundle(MEAN))
    step = AppStep(
        app=app,
        message=hashlib.sha256(sent).digest(),
        size=len(sent),
        kind=kind,
        columns=("age",),
        entries=entries_of(message),
        clip=100 * ONE,
        seconds=60,
    )
    rules = AppRules(apps=frozenset({app}), unsandboxed=False, most_seconds=60, most_bytes=1 << 30)
    apps = Apps(home=home, hidden=(home,), rules=lambda: rules, fetch=lambda *_: sent, sleep=lambda _: None)
    return apps(step, ROWS) * 100 / BOUND_UPDATE


@runs
def test_an_app_trains_on_the_rows_it_is_handed(tmp_path: Path) -> None:
    """It finds rows, weights and its own settings, and what it moved comes back."""
    assert ask(tmp_path, "train") == pytest.approx([20.0], abs=1e-3)
    assert next(reports.read(tmp_path)).ending == "answered"


@runs
def test_the_run_s_settings_come_over_the_app_s_own(tmp_path: Path) -> None:
    """A researcher's override reaches ``run_config``."""
    assert ask(tmp_path, "train", settings={"rate": 0.25}) == pytest.approx([10.0], abs=1e-3)


@runs
def test_evaluate_and_query_give_the_metrics_that_were_declared(tmp_path: Path) -> None:
    """A number and a list, over their bounds; what else the app said is thrown away."""
    declared = {"farr-entries": ("distance",), "farr-bounds": (200.0,)}
    assert ask(tmp_path, "evaluate", **declared) == pytest.approx([0.2], abs=1e-3)
    declared = {"farr-entries": ("decades[12]",), "farr-bounds": (10.0,)}
    counts = ask(tmp_path, "query", **declared)
    assert counts == pytest.approx([0.1 if decade in {4, 6} else 0 for decade in range(12)], abs=1e-3)


def test_flower_has_what_the_adapter_uses() -> None:
    """Each name behind the adapter is there and takes what it is given: to be run for every version of the pins."""
    from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.supercore.task_identity import TaskIdentity

    for name in ("task_id", "run_id", "node_id"):
        assert isinstance(getattr(type(TaskIdentity), name), property)
        assert getattr(type(TaskIdentity), name).fset is not None
    wanted = {"run_id", "node_id", "node_config", "state", "run_config"}
    assert wanted <= set(inspect.signature(Context).parameters)
    assert {"dst_node_id", "message_type", "group_id"} <= set(inspect.signature(Message).parameters)
    assert list(inspect.signature(ClientApp.__call__).parameters) == ["self", "message", "context"]
    assert ArrayRecord({"w": Array(np.ones(2))})["w"].numpy().tolist() == [1.0, 1.0]
    assert RecordDict({"c": ConfigRecord({"x": [1]}), "m": MetricRecord({"y": 1.0})})["m"]["y"] == 1.0


def test_every_value_of_a_message_reaches_an_app_and_comes_back() -> None:
    """Arrays of all types, numbers, texts, bytes and lists survive the way through Flower's records."""
    from node.apps import flower

    records: dict[str, Record] = {
        "a": Arrays(items={"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(7), "t": np.array([True])}),
        "c": Config(items={"b": True, "i": 3, "f": 0.5, "s": "text", "y": b"raw", "l": (1, 2), "t": ("a", "b")}),
        "m": Metrics(items={"x": 1, "y": (0.5, 1.5)}),
    }
    there = {name: flower._flower(record) for name, record in records.items()}
    back = AppMessage(kind="train", records={name: flower._own(record) for name, record in there.items()})
    assert encode(back) == encode(AppMessage(kind="train", records=records))
    assert decode(encode(back)).kind == "train"


def test_rows_are_handed_over_with_their_types_and_gaps() -> None:
    """Numbers, codes and days; a missing one is missing in any reader."""
    import io

    import pandas as pd

    columns = {
        "age": np.array([40.5, np.nan]),
        "sex": np.array(["女", ""]),
        "day": np.array(["2026-01-31", "NaT"], dtype="datetime64[D]"),
    }
    frame = pd.read_parquet(io.BytesIO(parquet_of(AppRows(table="visits", columns=columns))))
    assert list(frame.columns) == ["age", "sex", "day"]
    assert frame.isna().to_numpy().tolist() == [[False] * 3, [True] * 3]
    assert (frame["age"][0], frame["sex"][0], str(frame["day"][0])) == (40.5, "女", "2026-01-31")
    empty = {"age": np.array([], dtype=float), "sex": np.array([], dtype="U1")}
    assert len(pd.read_parquet(io.BytesIO(parquet_of(AppRows(table="visits", columns=empty))))) == 0
