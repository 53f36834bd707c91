"""An app is named by the digest of its files."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.app_bundle import MOST_BYTES, MOST_FILES, about, bundle_digest, check_files
from protocols.errors import Rejected

DESCRIBED = b"""
[project]
name = "heart"
version = "1.2.0"
[tool.flwr.app.components]
serverapp = "heart.server_app:app"
clientapp = "heart.client_app:app"
[tool.flwr.app.config]
rounds = 3
lr = 0.5
[tool.flwr.app.config.model]
kind = "mlp"
"""
FILES = {"pyproject.toml": DESCRIBED, "heart/__init__.py": b"", "heart/client_app.py": b"app = 1\n"}


def test_every_name_and_every_byte_is_in_the_digest() -> None:
    """A renamed file, a changed byte, a file more or less, or bytes moved between files give another digest."""
    changed = (
        FILES | {"heart/client_app.py": b"app = 2\n"},
        {("heart/other.py" if path.endswith("app.py") else path): content for path, content in FILES.items()},
        FILES | {"heart/more.py": b""},
        {path: content for path, content in FILES.items() if path != "heart/__init__.py"},
        FILES | {"heart/__init__.py": b"app", "heart/client_app.py": b" = 1\n"},
    )
    digests = {bundle_digest(files) for files in (FILES, *changed)}
    assert len(digests) == len(changed) + 1


@given(st.permutations(list(FILES.items())))
@settings(max_examples=20, deadline=None)
def test_the_order_of_files_is_not_in_the_digest(items) -> None:
    """However a folder or an archive lists its files, the app has one name."""
    assert bundle_digest(dict(items)) == bundle_digest(FILES)


BAD = {
    "nothing to describe it": {"a.py": b""},
    "outside": FILES | {"../a.py": b""},
    "at the root of the machine": FILES | {"/a.py": b""},
    "backslash": FILES | {"a\\b.py": b""},
    "empty part": FILES | {"a//b.py": b""},
    "hidden": FILES | {".env": b""},
    "a pickle": FILES | {"model.PKL": b""},
    "weights of torch": FILES | {"w/model.pt": b""},
    "compiled": FILES | {"fast.so": b""},
    "left behind": FILES | {"heart/__pycache__/a.pyc": b""},
    "two of one name": FILES | {"Heart/client_app.py": b"", "heart/CLIENT_app.py": b""},
    "a file that is a folder": FILES | {"heart": b""},
    "too many": FILES | {f"f{number}.py": b"" for number in range(MOST_FILES)},
    "too large": FILES | {"big.csv": bytes(MOST_BYTES + 1)},
    "a long name": FILES | {"a" * 101 + ".py": b""},
}


@pytest.mark.parametrize("what", BAD)
def test_files_that_no_app_may_have_are_refused(what: str) -> None:
    """What an operator cannot look at, or what lies outside, is no app."""
    with pytest.raises(Rejected):
        check_files(BAD[what])


def test_an_app_says_what_it_is() -> None:
    """Its name, its two halves and its settings, nested names joined by dots."""
    told = about(FILES)
    assert (told.name, told.version, told.client, told.server) == (
        "heart",
        "1.2.0",
        "heart.client_app:app",
        "heart.server_app:app",
    )
    assert dict(told.config) == {"rounds": 3, "lr": 0.5, "model.kind": "mlp"}


@pytest.mark.parametrize(
    "text",
    [
        b"\xff",
        b"[",
        b"[project]",
        b"[tool.flwr.app.components]\nclientapp = 3",
        b"[tool.flwr.app.components]\nclientapp = 'os; import x'",
        b"[tool.flwr.app.components]\nclientapp = 'a:b'\n[tool.flwr.app.config]\nx = [1]",
        b"[tool.flwr.app.components]\nclientapp = 'a:b'\n[tool.flwr.app.config]\n" + b"a." * 3000 + b"a = 1",
    ],
)
def test_a_description_of_something_else_is_refused(text: bytes) -> None:
    """A folder without a ClientApp is no app."""
    with pytest.raises(Rejected, match="malformed"):
        about({"pyproject.toml": text})
