"""Hospitals in this process, for runs of Flower apps: called as a node calls an app, clipped, rounded and noised."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from flwr.supercore.task_identity import TaskIdentity

from farr.errors import FarrError
from farr.flower.rounds import Outcome, Round
from node.apps import flower as child
from node.apps.bundle import read_bundle
from protocols.app_bundle import about
from protocols.app_entries import declared, moved, sent_arrays
from protocols.app_message import AppMessage, Metrics, category, decode

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "flower"
BOUND = 1 << 20


@dataclass
class Hospitals:
    """A federation whose hospitals answer at once."""

    app: Path
    """The folder of the app that all of them allowed."""
    rows: Mapping[str, pd.DataFrame]
    """By hospital."""
    folder: Path
    """For the files that apps are handed."""
    noise: float = 0.0
    """Standard deviation of the noise in each number of a sum, in units of the clip."""
    away: set[str] = field(default_factory=set)
    """Hospitals that are not connected."""
    lost: set[str] = field(default_factory=set)
    """Hospitals that go away in the middle of every round."""
    late: bool = False
    """Whether no round is ever answered."""
    asked: dict[bytes, Round] = field(default_factory=dict)
    """Every round by its request."""
    cancelled: list[bytes] = field(default_factory=list)
    draw: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def hospitals(self) -> Mapping[str, bool]:
        """Return the hospitals, and whether each is connected."""
        return {site: site not in self.away for site in self.rows}

    def ask(self, asked: Round, request: bytes) -> None:
        """Take a round."""
        self.asked[request] = asked

    def cancel(self, request: bytes) -> bool:
        """Give a round up."""
        self.cancelled.append(request)
        return True

    def wait(self, request: bytes, seconds: float | None, held: Callable[[], None]) -> Outcome:
        """Answer a round."""
        if self.late:
            raise FarrError("timeout", "late")
        asked = self.asked[request]
        there = tuple(site for site in asked.sites if site not in self.lost)
        total = sum(self.added(asked, site) for site in there) * 1.0
        total += self.draw.normal(0, self.noise * asked.clip, asked.sent.entries) if self.noise else 0
        return Outcome(
            mean=total / len(there),
            answered=there,
            noise=self.noise * asked.clip / len(there),
            rho_units=7,
            release=request.hex(),
        )

    def added(self, asked: Round, site: str) -> np.ndarray:
        """Return what a hospital adds: the app's reply, clipped and rounded."""
        path = self.folder / f"{site}.parquet"
        self.rows[site].to_parquet(path)
        described = about(read_bundle(self.app))
        before = (TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id)
        replied = child.run(
            app=self.app,
            message=asked.sent.data,
            rows=path,
            client=described.client,
            config=described.config,
            node_config={},
        )
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = before
        vector = flattened(decode(asked.sent.data), decode(replied))
        vector *= min(1.0, asked.clip / max(1e-300, float(np.linalg.norm(vector))))
        step = asked.clip / BOUND
        return np.rint(vector / step) * step


def flattened(sent: AppMessage, reply: AppMessage) -> np.ndarray:
    """Return the numbers of a reply that are summed."""
    if category(sent) == "train":
        start, new = moved(sent_arrays(sent)), sent_arrays(reply).items
        return np.concatenate([(np.asarray(new[name]) - start[name]).ravel() for name in start]).astype(float)
    metrics = next(record for record in reply.records.values() if isinstance(record, Metrics)).items
    found = [np.atleast_1d(metrics[entry.name]) / entry.bound for entry in declared(sent)]
    return np.clip(np.concatenate(found).astype(float), -1, 1)


def heart(partitions: int, count: int = 200) -> dict[str, pd.DataFrame]:
    """Return made-up rows of hospitals, in the columns of the demo's catalogue."""
    return {f"centre-{number}": _centre(number, count) for number in range(partitions)}


def _centre(number: int, count: int) -> pd.DataFrame:
    draw = np.random.default_rng(number)
    age, male, none = draw.normal(55, 9, count).round(), draw.random(count) < 0.7, draw.random(count) < 0.5
    logit = 0.05 * (age - 55) + 1.5 * male + 2 * none - 2
    ill = draw.random(count) < 1 / (1 + np.exp(-logit))
    return pd.DataFrame(
        {
            "age": age,
            "sex": np.where(male, "M", "F"),
            "chest_pain": np.where(none, "none", "other"),
            "systolic": draw.normal(132, 17, count).round(),
            "heart_rate": np.where(draw.random(count) < 0.1, math.nan, draw.normal(145, 24, count).round()),
            "exercise_angina": np.where(draw.random(count) < 0.4, "Y", "N"),
            "st_depression": draw.exponential(0.9, count).round(1),
            "disease": np.where(ill, "1", "0"),
        }
    )
