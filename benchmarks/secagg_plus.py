"""Flower's own SecAgg+ from the installed package, in memory: its workflow on one side, its client mod on the other."""

from __future__ import annotations

import copy
import importlib
import logging
import os
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from Crypto.Util.Padding import pad
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.common import Code, FitIns, FitRes, Parameters, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.compat.common import recorddict_compat
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import SecAggPlusWorkflow
from flwr.supercore.task_identity import TaskIdentity

from benchmarks.round_cost import FlowerCost

# The package gives the function of this name, not the module.
mod = importlib.import_module("flwr.client.mod.secure_aggregation.secaggplus_mod")

SECRET_BLOCK = 16
WHOLE = 10
"""Nodes up to which every node shares its keys with Flower's own code, which takes seconds at 50; beyond, two do."""


class _Grid:
    """Carries messages to nodes in this process and tells their CPU time from the workflow's."""

    def __init__(self, vector: np.ndarray[Any, np.dtype[np.float64]], nodes: int, dropped: int) -> None:
        self.contexts = {
            node: Context(run_id=1, node_id=node, node_config={}, state=RecordDict(), run_config={}, series_id=0)
            for node in range(1, nodes + 1)
        }
        self.vector, self.absent = vector, set(range(1, dropped + 1))
        self.full = set(self.contexts) if nodes <= WHOLE else {nodes - 1, nodes}
        self.node_seconds = dict.fromkeys(self.contexts, 0.0)
        self.away = 0.0

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Play the nodes' part."""
        began = time.process_time()
        replies = [self._play(message) for message in messages]
        self.away += time.process_time() - began
        return [reply for reply in replies if reply is not None]

    def _play(self, message: Message) -> Message | None:
        # Messages share their content in memory, and the mod changes what it reads.
        message = copy.deepcopy(message)
        node = message.metadata.dst_node_id
        stage = message.content.config_records[mod.RECORD_KEY_CONFIGS][mod.Key.STAGE]
        if node in self.absent and stage in (mod.Stage.COLLECT_MASKED_VECTORS, mod.Stage.UNMASK):
            return None
        quick: AbstractContextManager[object] = nullcontext()
        if node not in self.full:
            quick = patch.object(mod, "create_shares", _quick_shares)
        with quick:
            began = time.process_time()
            reply: Message = mod.secaggplus_mod(message, self.contexts[node], self._train)
            self.node_seconds[node] += time.process_time() - began
        return reply

    def _train(self, message: Message, context: Context) -> Message:
        result = FitRes(
            status=Status(code=Code.OK, message=""),
            parameters=ndarrays_to_parameters([self.vector]),
            num_examples=1,
            metrics={},
        )
        return Message(recorddict_compat.fitres_to_recorddict(result, keep_input=True), reply_to=message)


class _Everybody:
    """A strategy that asks everybody and keeps the mean that comes back."""

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self.mean = np.zeros(0)

    def configure_fit(self, server_round: int, parameters: Parameters, client_manager: object) -> list[Any]:
        """Send nothing but the order to begin."""
        return [(SimpleNamespace(node_id=node), FitIns(parameters, {})) for node in range(1, self.nodes + 1)]

    def aggregate_fit(self, server_round: int, results: list[Any], failures: list[Any]) -> tuple[None, dict[str, Any]]:
        """Keep the mean, which the workflow has put into every result."""
        self.mean = parameters_to_ndarrays(results[0][1].parameters)[0]
        return None, {}


def run(nodes: int, entries: int, dropped: int, threshold: int) -> FlowerCost:
    """Run one round on the complete graph and check the mean; ``threshold`` is of key shares."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1
    vector = np.random.default_rng(int.from_bytes(os.urandom(8))).uniform(-1, 1, entries)
    grid, strategy = _Grid(vector, nodes, dropped), _Everybody(nodes)
    context = LegacyContext(
        context=Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={}, series_id=0),
        strategy=strategy,  # type: ignore[arg-type]
        client_manager=SimpleNamespace(num_available=lambda: nodes),  # type: ignore[arg-type]
    )
    context.state.config_records["config"] = ConfigRecord({"current_round": 1})
    context.state.array_records["parameters"] = ArrayRecord([np.zeros(1)])
    workflow = SecAggPlusWorkflow(num_shares=1.0, reconstruction_threshold=threshold, max_weight=1.0)
    began = time.process_time()
    workflow(grid, context)  # type: ignore[arg-type]
    coordinator = time.process_time() - began - grid.away
    if not np.allclose(strategy.mean, vector, atol=1e-5):
        raise AssertionError("Flower's mean is wrong")
    played = [seconds for node, seconds in grid.node_seconds.items() if node in grid.full - grid.absent]
    return FlowerCost(node=sum(played) / len(played), coordinator=coordinator)


def _quick_shares(secret: bytes, _threshold: int, num: int) -> list[bytes]:
    """Share a secret by the constant polynomial: valid to whoever combines, and no work for the node that shares."""
    return [index.to_bytes(4, "little") + pad(secret, SECRET_BLOCK) for index in range(1, num + 1)]
