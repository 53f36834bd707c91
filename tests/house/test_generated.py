"""Files that a tool made are what the tool makes of their sources today."""

import io
import subprocess
import sys
from pathlib import Path

from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parents[2]


def test_wire_stubs_match_the_schema(tmp_path):
    """The committed protobuf stubs are those of protocols/wire.proto; `make proto` renews them."""
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I", ".", *outputs, "protocols/wire.proto"]
    subprocess.run(protoc, cwd=ROOT, check=True)
    made = {path.name: path.read_text() for path in (tmp_path / "protocols").iterdir()}
    assert set(made) == {"wire_pb2.py", "wire_pb2.pyi", "wire_pb2_grpc.py"}
    assert {name: (ROOT / "protocols" / name).read_text() for name in made} == made


def several(text):
    """Return a message's text as its forms: one, or singular and plural."""
    return (text,) if isinstance(text, str) else tuple(text)


def translations(catalogue):
    """Return what the catalogue says: each message, with its plural if it has one, and its translations."""
    said = [
        (message.id, message.string) for message in catalogue if message.id and message.string and not message.fuzzy
    ]
    return {several(ids): several(strings) for ids, strings in said}


def test_compiled_messages_match_their_source():
    """Each committed .mo file says what its .po file says; `make messages` renews them."""
    for source in sorted((ROOT / "farr" / "locale").rglob("*.po")):
        compiled = read_mo(io.BytesIO(source.with_suffix(".mo").read_bytes()))
        assert translations(compiled) == translations(read_po(io.BytesIO(source.read_bytes())))
