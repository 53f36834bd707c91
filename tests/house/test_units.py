"""The systemd units start commands that exist, and are locked down. No service is started."""

import configparser
import shlex
from pathlib import Path

import click
import pytest
import typer.main

from farr.cli.main import app

UNITS = sorted((Path(__file__).resolve().parents[2] / "deploy").glob("*.service"))


def service(unit):
    """Return the unit's [Service] section; of a key that is there twice, the last one."""
    parser = configparser.RawConfigParser(strict=False, delimiters="=", comment_prefixes="#")
    parser.optionxform = str
    parser.read_string(unit.read_text(encoding="utf-8"))
    assert set(parser.sections()) == {"Unit", "Service", "Install"}
    return parser["Service"]


def test_a_node_and_a_coordinator_have_a_unit():
    """There is one for each service that runs for long."""
    assert [unit.name for unit in UNITS] == ["farr-coordinator.service", "farr-node.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_that_exists(unit):
    """ExecStart is `farr` with a command and options of the command line's own tree."""
    program, *words = shlex.split(service(unit)["ExecStart"])
    assert Path(program).is_absolute()
    assert Path(program).name == "farr"
    command = typer.main.get_command(app)
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    known = {flag for parameter in command.params for flag in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert command.name == "serve"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_locked_down(unit):
    """It runs as its own user without capabilities, sees a read-only system and no home, and writes its state only."""
    found = service(unit)
    expected = {
        "User": "farr",
        "CapabilityBoundingSet": "",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "PrivateDevices": "yes",
        "UMask": "0077",
        "StateDirectoryMode": "0700",
        "SocketBindDeny": "any",
    }
    assert {name: found.get(name) for name in expected} == expected
    home = shlex.split(found["ExecStart"])[-1]
    assert Path(home).is_relative_to(f"/var/lib/{found['StateDirectory']}")


def test_only_the_coordinator_may_listen():
    """A hospital's node may bind no port at all."""
    assert {unit.stem: service(unit).get("SocketBindAllow") for unit in UNITS} == {
        "farr-coordinator": "tcp:7443",
        "farr-node": None,
    }
