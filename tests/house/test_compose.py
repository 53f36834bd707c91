"""The Compose file says what it needs, and all of it is there. No container is started."""

import re
import shlex
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
NODES = {name for name in SERVICES if name.startswith("ist-")}


def script(service):
    """Return the service's shell script with its environment filled in and Compose's ``$$`` undone."""
    text = SERVICES[service]["command"][-1].replace("$$", "$")
    for name, value in SERVICES[service].get("environment", {}).items():
        text = re.sub(rf"\${{?{name}\b}}?", value, text)
    return text


def mounts(service):
    """Return the service's mounts as (source, place in the container)."""
    return [tuple(mount.split(":")[:2]) for mount in SERVICES[service].get("volumes", [])]


def farr_commands():
    """Return every (service, arguments) with which a script calls ``farr``."""
    calls = []
    for service in SERVICES:
        for line in script(service).splitlines():
            words = shlex.split(line)
            if "farr" in words:
                calls.append((service, words[words.index("farr") + 1 :]))
    return calls


def copied_into_image():
    """Return the Dockerfile's COPY lines as {absolute place in the image: source in the repository}."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    image = {}
    for *sources, target in (line.split()[1:] for line in lines if line.startswith("COPY ")):
        for source in sources if target.startswith("/") else ():
            place = target + Path(source).name if target.endswith("/") else target
            image[place] = ROOT / source
    return image


def test_a_registrar_a_coordinator_an_analyst_and_five_hospitals():
    """The services are one registrar, one coordinator, one analyst and five hospitals, all from one image."""
    assert set(SERVICES) == {"registrar", "coordinator", "analyst"} | NODES
    assert len(NODES) == 5
    assert {service["image"] for service in SERVICES.values()} == {"farr"}


def test_one_port_is_published():
    """The only way in is the coordinator's port 7443, from this machine only; hospitals dial out."""
    published = {name: service["ports"] for name, service in SERVICES.items() if service.get("ports")}
    assert published == {"coordinator": ["127.0.0.1:7443:7443"]}


def test_state_is_in_named_volumes_that_are_declared_and_used():
    """Nothing is mounted from the host; every mounted volume is declared and every declared one mounted."""
    mounted = {source for service in SERVICES for source, _ in mounts(service)}
    assert mounted == set(COMPOSE["volumes"])


def test_state_is_shared_with_nobody():
    """Each /state and /registrar is one service's own; only the exchange of tokens is common."""
    private = [source for service in SERVICES for source, _ in mounts(service) if source != "exchange"]
    assert len(private) == len(set(private)) == len(SERVICES)


def test_networks_and_dependencies_are_declared():
    """Every network and every service that a service waits for exists."""
    for service in SERVICES.values():
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        assert set(service.get("depends_on", {})) <= set(SERVICES)


def test_hospitals_reach_nothing_but_the_coordinator():
    """A hospital is on the internal network only."""
    assert COMPOSE["networks"]["federation"]["internal"] is True
    assert {tuple(SERVICES[node]["networks"]) for node in NODES} == {("federation",)}


def test_what_the_image_copies_exists():
    """Every source of a COPY in the Dockerfile is in the repository and not kept out by .dockerignore."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    sources = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in allowed, source


def test_the_base_image_is_named_without_a_host():
    """The base image comes from whatever registry the machine is set up with."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert [line.split()[1] for line in lines if line.startswith("FROM ")] == ["python:3.11-slim"]


def test_paths_in_commands_are_mounted_or_in_the_image():
    """Every absolute path given to a command lies on one of the service's volumes or was copied into the image."""
    image = copied_into_image()
    for service, words in farr_commands():
        places = [place for _, place in mounts(service)]
        for word in words:
            if not word.startswith("/") or any(word == place or word.startswith(f"{place}/") for place in places):
                continue
            inside = [
                source / Path(word).relative_to(place) for place, source in image.items() if word.startswith(place)
            ]
            assert any(source.exists() for source in inside), f"{service}: {word}"


def test_commands_exist():
    """Every command and every option that a script uses is in the command line's own tree."""
    import click
    import typer.main

    from farr.cli.main import app

    unknown = []
    for service, words in farr_commands():
        command, rest = typer.main.get_command(app), list(words)
        while isinstance(command, click.Group) and rest:
            command = command.commands.get(rest.pop(0))
        if not isinstance(command, click.Command) or isinstance(command, click.Group):
            unknown.append((service, words))
            continue
        flags = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        unknown += [(service, words, word) for word in rest if word.startswith("--") and word not in flags]
    assert farr_commands()
    assert unknown == []
