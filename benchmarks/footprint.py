"""What a node takes when it idles, and how long the command line takes to start."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import farr
from benchmarks.process import cpu_seconds, resident_mb
from benchmarks.synthetic import QUESTION, federation
from benchmarks.table import Figure

TITLE = "Footprint of a node, start of the command line"
IDLE = 20.0
COMMANDS = (["--help"], ["query", "--help"], ["node", "--help"], ["--version"])


def measure() -> list[Figure]:
    """Measure nodes after they have answered, and commands that only print help."""
    with federation(3, 1_000_000) as (lab, _files):
        with farr.connect(lab.home) as connection:
            connection.sql(QUESTION, epsilon=0.2, fresh=True)
        nodes = [process for process in lab.processes if process.name != "coordinator"]
        before = [cpu_seconds(node.pid) for node in nodes]
        time.sleep(IDLE)
        idle = [(cpu_seconds(node.pid) - used) / IDLE for node, used in zip(nodes, before, strict=True)]
        memory = [resident_mb(node.pid) for node in nodes]
    figures = [
        Figure(what="node, resident after a question over 1 M rows", value=f"{max(memory):.0f} MB", goal="300 MB"),
        Figure(what="node, idle CPU", value=f"{max(idle):.2%} of a core", goal="near zero"),
    ]
    for command in COMMANDS:
        runs = [_run(command) for _ in range(5)]
        figures.append(
            Figure(what=f"`{' '.join(('farr', *command))}`", value=f"{statistics.median(runs):.2f} s", goal="0.5 s")
        )
    return figures


def _run(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "farr", *command], check=True, capture_output=True)
    return time.perf_counter() - began
