"""A stage: a folder that stands for a person's machine, with its own HOME, its own `farr` and a free port."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHELL = shutil.which("bash")

# Settings of the machine that runs the tests have no place on the stage.
STRANGE = ("FARR_", "PYTHON", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "LC_", "LANG", "COLUMNS")


def free_port():
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Stage:
    """Where scripts run; ``strike`` ends whatever they left."""

    def __init__(self, folder):
        """Furnish an empty folder."""
        self.folder = folder
        self.port = free_port()
        self.groups = []
        for name in ("bin", "home", "work", "tmp"):
            (folder / name).mkdir(parents=True)
        farr = folder / "bin" / "farr"
        farr.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m farr "$@"\n')
        farr.chmod(farr.stat().st_mode | stat.S_IXUSR)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(STRANGE)}
        self.environment = {
            **kept,
            "PATH": f"{folder / 'bin'}:{Path(sys.executable).parent}:{kept.get('PATH', '/usr/bin:/bin')}",
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
        }

    def start(self, *words, output, **environment):
        """Start a command in a process group of its own; its output goes to the file ``output``."""
        with output.open("ab") as file:
            process = subprocess.Popen(
                words,
                cwd=self.folder / "work",
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.groups.append(process)
        return process

    def strike(self):
        """End every process that was started, labs included."""
        for lab in sorted(self.folder.glob("work/*/lab.json")):
            if not json.loads(lab.read_text(encoding="utf-8"))["processes"]:
                continue
            down = [sys.executable, "-m", "farr", "lab", "down", "--home", str(lab.parent)]
            subprocess.run(down, env=self.environment, capture_output=True, check=False, timeout=60)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self.groups:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            until = time.monotonic() + 12
            while time.monotonic() < until and any(map(_alive, self.groups)):
                time.sleep(0.05)


def _alive(process):
    """Tell whether anybody of a process group is left."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
