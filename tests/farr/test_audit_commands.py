"""The operator's commands on a node's log: export, verify, and the word after a rollback."""

from __future__ import annotations

import json
import shutil

import pytest

from farr.cli.main import main
from farr.membership import home as homes
from farr.membership.home import Home
from node.books.audit import Audit
from node.books.state import FILE, open_state
from protocols import roster as rosters
from protocols.credentials import Credentials
from protocols.wire_pb2 import Role
from tests.node import rig
from tests.node.test_heads import heads_of, keeper_of


@pytest.fixture
def folder(tmp_path):
    """A hospital's home whose node has answered once."""
    made = tmp_path / "home"
    credentials = Credentials(
        federation=rig.NAME,
        member=rig.SITE,
        role=Role.ROLE_NODE,
        address="127.0.0.1:1",
        ca_certificate=b"-",
        certificate=b"-",
        tls_key=b"-",
        identity=rig.key_of(rig.SITE),
        registrar_key=rig.key_of("registrar").public,
    )
    signed = rosters.write(rig.roster, rig.key_of("registrar"))
    homes.write(made, Home(credentials=credentials, roster=signed, catalogue=rig.CATALOGUE))
    node = rig.Rig(made)
    node.answer(rig.announce())
    node.close()
    return made


def said(capsys):
    """Return what a command printed, in one line."""
    return " ".join(capsys.readouterr().out.split())


def test_an_exported_log_is_signed_to_its_end_and_verifies(folder, tmp_path, capsys):
    """From the file alone, with the registrar's key; one figure changed in it, and the entry is named or refused."""
    file = tmp_path / "ward.log"
    assert main(["node", "audit", "export", str(file), "--home", str(folder)], {}) == 0
    key = str(folder / "registrar.pub")
    capsys.readouterr()
    assert main(["audit", "verify", str(file), "--registrar-key", key, "--json"], {}) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["good"]
    assert found["signed"] == found["entries"] > 0
    assert main(["audit", "verify", str(folder)], {}) == 0
    capsys.readouterr()
    file.write_bytes(file.read_bytes().replace(b'\\"units\\":', b'\\"units\\":1', 1))
    assert main(["audit", "verify", str(file), "--registrar-key", key, "--json"], {}) == 1
    assert json.loads(capsys.readouterr().out)["first_bad_entry"] == 1


def test_a_changed_state_is_named_from_the_home(folder, capsys):
    """The first bad entry, and exit code 1."""
    connection = open_state(folder)
    connection.execute("DROP TRIGGER audit_never_changes")
    connection.execute("UPDATE audit SET at = at + 1 WHERE number = 1")
    connection.close()
    assert main(["audit", "verify", str(folder)], {}) == 1
    assert "Entry 1 of the log is not as it was written." in said(capsys)


def test_the_operator_is_told_what_was_lost_and_decides(folder, tmp_path, capsys, monkeypatch):
    """Without a choice: what is missing and what to do, and nothing is done; with one: it is charged and goes on."""
    home = ["--home", str(folder)]
    assert main(["node", "audit", "recover", *home], {}) == 0
    assert "nothing to recover from" in said(capsys)
    old = tmp_path / FILE
    shutil.copy(folder / FILE, old)
    node = rig.Rig(folder, number=2)
    node.answer(rig.announce(rig.request(2), slot=2, number=2))
    signed = keeper_of(node).checkpoint()
    node.close()
    for rest in folder.glob(FILE + "*"):
        rest.unlink()
    shutil.copy(old, folder / FILE)
    node = rig.Rig(folder, number=0)
    heads_of(node).take([signed], rig.roster)
    node.close()
    monkeypatch.setattr(
        "farr.hospital.nodes.certificate_days", lambda *_given: 300
    )  # this home's certificate is a stand-in
    assert main(["node", "status", *home], {}) == 0
    assert "farr node audit recover" in said(capsys)
    assert main(["node", "audit", "recover", *home], {}) == 1
    told = said(capsys)
    assert "and more if the node answered after it last signed" in told
    assert "At least 1 charges are forgotten" in told
    assert "--lower-budget-by" in told
    assert main(["node", "audit", "recover", *home, "--lower-budget-by", "0.5", "--by", "Li"], {}) == 0
    assert "The node answers again." in said(capsys)
    connection = open_state(folder)
    assert not Audit(connection=connection).halted
    assert Audit(connection=connection).verify() is None
    connection.close()


def test_an_auditor_without_a_home_is_asked_for_the_registrars_key(tmp_path, capsys, monkeypatch):
    """Not told to join a federation; and what is no evidence is called so."""
    monkeypatch.setenv("HOME", str(tmp_path))
    file, key = tmp_path / "figure.evidence", tmp_path / "registrar.pub"
    file.write_bytes(b"no evidence")
    assert main(["audit", "verify", str(file)], {}) == 1
    assert "--registrar-key" in capsys.readouterr().err
    key.write_text("00" * 32)
    assert main(["audit", "verify", str(file), "--registrar-key", str(key)], {}) == 1
    assert "neither evidence nor an exported log" in capsys.readouterr().err
