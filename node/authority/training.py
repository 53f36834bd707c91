"""The [training] of a policy: which models may be trained on the hospital's patients, and which apps may run here.

A policy without that table trains nothing: it was written before there was anything to allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from node.authority.policy_file import NONE, Values
from queries.asked.network import network_of
from queries.asked.plan import AppStep, Plan, Step

Told = str | Callable[[], str]
"""What was compared with what, in words; or what writes it, where that takes long and is read of few questions."""

TABLE = "training"
"""Name of the table in the policy file."""

MODELS = ("linear", "logistic", "poisson", "cox")
"""Models that Farr trains and that are named one by one; a network is named by its layers' digest."""

NETWORK = "network"
"""The model of a step that trains a network."""

KEYS = (
    "models",
    "networks",
    "apps",
    "unsandboxed_apps",
    "unsandboxed_reason",
    "most_app_minutes",
    "most_app_megabytes",
)
"""Every key of the table, in the order of the default file. Where the table is, each is needed."""

MOST_REASON = 500
"""Characters of the reason for running apps without a sandbox."""

MEGABYTE = 1 << 20

ABSENT = "trains a model, and policy.toml has no [training]"
ADD = "copy [training] from `farr node policy default` to the end of policy.toml where the hospital wants to train"


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a hospital lets train on its patients. Of lists, None: all of the kind."""

    models: tuple[str, ...] | None
    """Models among MODELS, sorted."""
    networks: tuple[bytes, ...] | None
    """Networks, by the digest of their layers (``queries.asked.network``), 32 bytes each."""
    apps: tuple[bytes, ...]
    """Flower apps of researchers, by the digest of their code, 32 bytes each. Never all."""
    unsandboxed_apps: bool
    """Whether an app may run although this machine can make no sandbox for it."""
    unsandboxed_reason: str
    """Why, in the operator's words; not empty where it may."""
    most_app_minutes: int
    """Minutes that one round of an app may take."""
    most_app_megabytes: int
    """Megabytes (2^20 bytes) of memory of an app, what it is sent included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule of [training], and what it says of a question."""

    rule: str
    """The key of the policy."""
    holds: bool
    """Whether the question passes."""
    told: Told
    """What was compared with what, or what writes it."""
    code: str = "policy"
    """One of protocols/codes.py: with what a question that does not pass is withheld."""
    remedy: str = ""
    """What to do about it; empty: change the key."""


def read_training(values: Values) -> Training:
    """Read the table; raise PolicyError, naming the key and what to write, for anything wrong.

    Guarantee: apps are allowed one by one, by their code, and never without a sandbox unless the operator wrote that
    down with a reason. Test: tests/node/test_policy.py::test_a_wrong_policy_answers_nothing.
    """
    values.only(KEYS)
    unsandboxed, reason = values.truth("unsandboxed_apps"), values.text("unsandboxed_reason", MOST_REASON)
    if unsandboxed and not reason.strip():
        values.refuse("unsandboxed_reason", "is empty", "say why apps may run without a sandbox on this machine")
    return Training(
        models=() if values.values["models"] == NONE else values.names("models", MODELS),
        networks=() if values.values["networks"] == NONE else values.digests("networks"),
        apps=values.digests("apps", everything=False) or (),
        unsandboxed_apps=unsandboxed,
        unsandboxed_reason=reason,
        most_app_minutes=values.whole("most_app_minutes", 1, 1440, 30),
        most_app_megabytes=values.whole("most_app_megabytes", 1, 1 << 20, 2048),
    )


def checks(training: Training | None, plan: Plan) -> Iterator[Check]:
    """Yield what [training] says of a plan; nothing of one that trains nothing.

    Guarantee: default-deny. Without the table nothing trains, and with it no model, network or app that it does not
    name. Tests: tests/node/test_runs.py::test_without_the_table_nothing_trains,
    tests/node/test_runs.py::test_each_key_of_training_stands_against_a_step.
    """
    for step in (aggregate.step for part in plan.parts for aggregate in part.aggregates):
        if step is None:
            continue
        if training is None:
            yield Check(rule=TABLE, holds=False, told=ABSENT, remedy=ADD)
        elif isinstance(step, AppStep):
            yield from _of_app(training, step)
        else:
            yield _of_model(training, step)


def _of_model(training: Training, step: Step) -> Check:
    if step.model == NETWORK:
        network = network_of(step.layers)
        return Check(
            rule="training.networks",
            holds=training.networks is None or network in training.networks,
            told=f"trains the network {network.hex()}",
        )
    return Check(
        rule="training.models",
        holds=step.model in (MODELS if training.models is None else training.models),
        told=f"trains a {step.model} model",
    )


def _of_app(training: Training, step: AppStep) -> Iterator[Check]:
    yield Check(rule="training.apps", holds=step.app in training.apps, told=f"runs the app {step.app.hex()}")
    most = 60 * training.most_app_minutes
    yield Check(
        rule="training.most_app_minutes",
        holds=step.seconds <= most,
        told=f"an app that runs for {step.seconds} s, at most {most} s",
    )
    size, room = -(-step.size // MEGABYTE), training.most_app_megabytes
    yield Check(
        rule="training.most_app_megabytes",
        holds=size <= room,
        told=f"an app that is sent {size} MB, at most {room} MB",
    )
