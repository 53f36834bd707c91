"""The Compose file's own scripts lead from nothing to an answer. They run as processes; no container is needed."""

import re
import socket
import time
from pathlib import Path

import pytest
import yaml

from tests.journeys.stage import ROOT, Stage

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
JOBS = ("registrar", "analyst")
SOON = 60


def image(folder):
    """Put what the Dockerfile copies to places outside /src where it belongs, below ``folder``."""
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if not line.startswith("COPY "):
            continue
        *sources, target = line.split()[1:]
        for source in sources if target.startswith("/") else ():
            place = folder / target.lstrip("/") / (Path(source).name if target.endswith("/") else "")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(ROOT / source)


def moved(text, service, folder, port):
    """Return a text of the Compose file with the container's places moved below ``folder``."""
    places = {place: folder / "volumes" / name for name, place in _mounts(service)}
    places |= {f"/{top.name}": top for top in (folder / "image").iterdir()}
    for place, real in places.items():
        text = re.sub(rf"(?<![\w./]){place}(?=[/\s\"';]|$)", str(real), text)
    return text.replace("$$", "$").replace("coordinator:7443", f"127.0.0.1:{port}")


def _mounts(service):
    return [tuple(mount.split(":")[:2]) for mount in SERVICES[service].get("volumes", [])]


def healthy(stage):
    """Wait until the coordinator answers on its port, as its health check does."""
    until = time.monotonic() + SOON
    while True:
        try:
            socket.create_connection(("127.0.0.1", stage.port), 2).close()
        except OSError:
            assert time.monotonic() < until, log(stage, "coordinator")
            time.sleep(0.1)
        else:
            return


def up(stage):
    """Start every service's script, as `docker compose up` would; return the processes."""
    started = {}
    # Those that wait for a healthy coordinator come after all others.
    for service, described in sorted(SERVICES.items(), key=lambda each: "depends_on" in each[1]):
        if "depends_on" in described:
            assert described["depends_on"] == {"coordinator": {"condition": "service_healthy"}}
            healthy(stage)
        shell, flags, script = described["command"]
        environment = {
            name: moved(value, service, stage.folder, stage.port)
            for name, value in described.get("environment", {}).items()
        }
        started[service] = stage.start(
            shell,
            flags,
            moved(script, service, stage.folder, stage.port),
            output=stage.folder / f"{service}.log",
            **environment,
        )
    return started


def log(stage, service):
    """Return what a service has said so far."""
    return (stage.folder / f"{service}.log").read_text(encoding="utf-8")


def ended(stage, started):
    """Wait for the jobs and return what the analyst was shown; fail at once where a service that should run ended."""
    until = time.monotonic() + SOON
    while any(started[job].poll() is None for job in JOBS):
        fallen = [name for name, process in started.items() if name not in JOBS and process.poll() is not None]
        assert not fallen, "\n".join(f"{name}: {log(stage, name)}" for name in fallen)
        assert time.monotonic() < until, "\n".join(f"{job}: {log(stage, job)}" for job in JOBS)
        time.sleep(0.1)
    for job in JOBS:
        assert started[job].returncode == 0, log(stage, job)
    return log(stage, "analyst")


@pytest.fixture
def stage(tmp_path):
    """A machine with the image's files and empty volumes."""
    stage = Stage(tmp_path)
    image(tmp_path / "image")
    for service in SERVICES:
        for name, _place in _mounts(service):
            (tmp_path / "volumes" / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    yield stage
    stage.strike()


def test_the_scripts_lead_to_an_answer_and_start_again_from_their_volumes(stage):
    """All five hospitals answer the analyst; stopped and started again, everybody goes on as the same member."""
    answer = ended(stage, started := up(stage))
    assert re.search(r"Hospitals: 5 of 5 answered", answer)
    assert re.search(r"F +fully alert +[\d,]+ ± \d+", answer)
    running = [process for name, process in started.items() if name not in JOBS]
    for process in running:
        process.terminate()
    assert [process.wait(timeout=SOON) for process in running] == [0] * len(running)

    again = ended(stage, up(stage)).removeprefix(answer)
    assert "this question was answered before; no cost" in again
    assert log(stage, "registrar").count("Admitted ist-") == len(running) - 1
