"""Runs the same app on Flower alone: its simulation engine, or its SuperLink with SuperNodes. Without any protection.

For comparison and for development on data that are nobody's: there is no privacy, no mask, no ledger and no approval in
these runs, every reply reaches the ServerApp as it is, and each node runs whatever code the link sends it.

    python -m farr.flower.plain examples/flower/sklearn --nodes 4
    python -m farr.flower.plain examples/flower/sklearn --deployment DATA_1.parquet DATA_2.parquet
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

WARNING: Final = (
    "This is Flower alone. Farr's protection is NOT there: no noise, no masks, no ledger, no approval;\n"
    "every node's reply is seen as it is. Never run it on patients' data.\n"
)

STARTED: Final = 60.0
"""Seconds for a process to be ready."""


@contextmanager
def link(nodes: int, data: Sequence[Path] = (), *, deployment: bool, folder: Path) -> Iterator[Path]:
    """Run a SuperLink, and with ``deployment`` as many SuperNodes; yield a home for ``flwr run APP link``.

    All listen on this machine only and end with the block. ``data``: a file of rows for each node.
    """
    port = _free()
    home = folder / "flwr"
    home.mkdir(parents=True, exist_ok=True)
    # The nodes of a simulation are made by the link; those of a deployment come by themselves.
    options = "" if deployment else f"options.num-supernodes = {nodes}\n"
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "link"\n\n[superlink.link]\naddress = "127.0.0.1:{port}"\ninsecure = true\n{options}',
        encoding="utf-8",
    )
    started = ["flower-superlink", "--insecure", "--host", "127.0.0.1", "--port", str(port)]
    started += ["--disable-runtime-dependency-installation", *([] if deployment else ["--simulation"])]
    with ExitStack() as stack:
        stack.enter_context(_process(started, home, folder / "superlink.log"))
        _wait(f"http://127.0.0.1:{port}/health")
        for number in range(nodes if deployment else 0):
            config = f"partition-id={number} num-partitions={nodes}"
            if data:
                config += f' farr-data="{data[number].resolve()}"'
            node = ["flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{port}", "--node-config", config]
            node += ["--host", "127.0.0.1", "--port", str(_free())]
            stack.enter_context(_process(node, home, folder / f"supernode-{number}.log"))
        yield home


def run(app: Path, home: Path, config: str = "") -> str:
    """Run an app on a link by its home; return what it printed. Raises RuntimeError where it failed."""
    command = [_tool("flwr"), "run", str(app), "link", "--stream", *(["--run-config", config] if config else [])]
    done = subprocess.run(command, env=_environment(home), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout + done.stderr


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an app as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m farr.flower.plain", description="Run an app on Flower alone.")
    parser.add_argument("app", type=Path, help="folder of the app")
    parser.add_argument("data", type=Path, nargs="*", help="with --deployment, a file of rows for each node")
    parser.add_argument("--nodes", type=int, default=4, help="how many, where no files are given")
    parser.add_argument("--deployment", action="store_true", help="SuperLink and SuperNodes, not the simulation engine")
    parser.add_argument("--config", default="", help="settings of the app to replace")
    given = parser.parse_args(arguments)
    sys.stderr.write(WARNING)
    if given.data and not given.deployment:
        parser.error("files of rows are for --deployment: the simulation engine gives its nodes no settings")
    nodes = len(given.data) or given.nodes
    with (
        tempfile.TemporaryDirectory() as folder,
        link(nodes, given.data, deployment=given.deployment, folder=Path(folder)) as home,
    ):
        sys.stdout.write(run(given.app, home, given.config))
    sys.stderr.write(WARNING)
    return 0


def _tool(name: str) -> str:
    """Return a program of Flower beside this Python, where it was installed with it."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name


def _environment(home: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    return os.environ | quiet | {"FLWR_HOME": str(home), "PATH": path}


@contextmanager
def _process(command: Sequence[str], home: Path, log: Path) -> Iterator[None]:
    with log.open("wb") as written:
        process = subprocess.Popen(
            [_tool(command[0]), *command[1:]],
            env=_environment(home),
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        # It starts others, which a signal to it alone would leave behind.
        for signal in (15, 9):
            try:
                os.killpg(process.pid, signal)
            except ProcessLookupError:
                break
            deadline = time.monotonic() + 5
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
        process.wait()


def _wait(address: str) -> None:
    deadline = time.monotonic() + STARTED
    while True:
        try:
            with urllib.request.urlopen(address, timeout=1):  # noqa: S310  an address of this machine, made here
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    raise SystemExit(main())
