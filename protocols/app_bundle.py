"""The code of a researcher's app: which files belong to it, and the digest by which a hospital allows it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from protocols.app_message import Scalar
from protocols.errors import Rejected
from protocols.hashing import digest

LABEL = "farr/v1/app"

DESCRIPTION = "pyproject.toml"
"""The file in an app's folder that says what it is, as Flower has it."""

MOST_FILES = 512
"""Most files of an app."""
MOST_BYTES = 16 << 20
"""Most bytes of all of them."""
MOST_PATH = 200
"""Longest path within the app, in characters."""
MOST_CONFIG = 1024
"""Most keys of an app's configuration."""

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+ -]{0,99}")
_COMPONENT = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,200}:[A-Za-z_][A-Za-z0-9_.]{0,100}")

UNREADABLE = frozenset(
    {
        ".pkl",
        ".pickle",
        ".pt",
        ".pth",
        ".joblib",
        ".npy",
        ".npz",
        ".so",
        ".pyd",
        ".dll",
        ".dylib",
        ".exe",
        ".pyc",
        ".whl",
    }
)
"""Endings of files that hold code which nobody can read, or may: an operator allows what can be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What an app says of itself. Only its digest is a fact."""

    name: str
    """Of the project."""
    version: str
    """Of the project."""
    client: str
    """The ClientApp, such as ``heart.client_app:app``."""
    server: str
    """The ServerApp; empty: none is named."""
    config: Mapping[str, Scalar]
    """Its settings, nested names joined by dots (Flower's ``run_config``)."""


def skipped(path: str) -> bool:
    """Return whether a file of the folder is no part of the app: hidden, or what Python left behind."""
    parts = path.split("/")
    return any(part.startswith(".") or part == "__pycache__" for part in parts) or path.endswith(".pyc")


def bundle_digest(files: Mapping[str, bytes]) -> bytes:
    """Return the SHA-256 that names an app (32 bytes), from its files by path; raise Rejected for what is no app.

    Guarantee: any change of a name or a byte of any file changes the digest, and the order of files does not. Test:
    tests/protocols/test_app_bundle.py::test_every_name_and_every_byte_is_in_the_digest.
    """
    check_files(files)
    ordered = sorted((path.encode(), content) for path, content in files.items())
    return digest(LABEL, *(part for named in ordered for part in named))


def check_files(files: Mapping[str, bytes]) -> None:
    """Raise Rejected for files that an app may not have: too many, too large, hidden, unreadable, or outside of it."""
    if DESCRIPTION not in files:
        raise Rejected("malformed", f"an app has a {DESCRIPTION}")
    if len(files) > MOST_FILES or sum(map(len, files.values())) > MOST_BYTES:
        raise Rejected("oversized", f"an app has at most {MOST_FILES} files of {MOST_BYTES >> 20} MiB in all")
    for path in files:
        if len(path) > MOST_PATH or not all(_PART.fullmatch(part) for part in path.split("/")) or skipped(path):
            raise Rejected("malformed", f"not a name for a file of an app: {path[:MOST_PATH]!r}")
        if any(path.lower().endswith(ending) for ending in UNREADABLE):
            raise Rejected("malformed", f"an app holds no compiled or pickled files: {path}")
    folded = {path.casefold() for path in files}
    if len(folded) < len(files) or any("/".join(path.split("/")[:n]) in files for path in files for n in _above(path)):
        raise Rejected("malformed", "two files of an app have one name")


def about(files: Mapping[str, bytes]) -> About:
    """Return what an app says of itself; raise Rejected where its description is not one of a Flower app."""
    try:
        described = tomllib.loads(files[DESCRIPTION].decode())
    except (KeyError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise Rejected("malformed", f"{DESCRIPTION} of an app") from error
    app = _table(described, "tool", "flwr", "app")
    components = _table(app, "components")
    client, server = components.get("clientapp"), components.get("serverapp", "")
    if not isinstance(client, str) or not _COMPONENT.fullmatch(client):
        raise Rejected("malformed", "clientapp in [tool.flwr.app.components]")
    if not isinstance(server, str) or (server and not _COMPONENT.fullmatch(server)):
        raise Rejected("malformed", "serverapp in [tool.flwr.app.components]")
    project = _table(described, "project")
    config: dict[str, Scalar] = {}
    try:
        _flatten(_table(app, "config"), "", config)
    except RecursionError as error:
        raise Rejected("malformed", "[tool.flwr.app.config] is nested too deep") from error
    return About(
        name=_printable(project.get("name")),
        version=_printable(project.get("version")),
        client=client,
        server=server,
        config=config,
    )


def _above(path: str) -> range:
    return range(1, path.count("/") + 1)


def _table(values: object, *keys: str) -> Mapping[str, object]:
    for key in keys:
        values = values.get(key, {}) if isinstance(values, dict) else {}
    return values if isinstance(values, dict) else {}


def _flatten(values: Mapping[str, object], before: str, config: dict[str, Scalar]) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            _flatten(value, f"{before}{key}.", config)
        elif isinstance(value, (bool, int, float, str)) and len(config) < MOST_CONFIG:
            config[before + key] = value
        else:
            raise Rejected("malformed", "[tool.flwr.app.config] holds numbers, texts and truth values")


def _printable(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:100])
