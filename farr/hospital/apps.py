"""Researchers' apps at a hospital: put there by its operator, allowed by its policy, looked at beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from farr.errors import FarrError
from farr.texts import _, translate
from node.apps import reports, sandbox
from node.apps.allowed import AppStore
from node.apps.bundle import read_bundle
from node.apps.reports import Report
from node.authority import policy as policies
from protocols.app_bundle import About, about
from protocols.errors import Rejected

LEAST_DIGITS = 4
"""Fewest hexadecimal digits that name an app."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An app at the node."""

    digest: str
    """SHA-256 of its code, in hexadecimal digits."""
    told: About | None
    """What it says of itself; None: its files are not here, or damaged."""
    files: Mapping[str, bytes]
    """By path."""
    allowed: bool
    """Whether the policy names it."""

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        told = self.told
        return {
            "digest": self.digest,
            "allowed": self.allowed,
            "here": told is not None,
            "name": "" if told is None else told.name,
            "version": "" if told is None else told.version,
            "clientapp": "" if told is None else told.client,
            "config": {} if told is None else {key: str(value) for key, value in told.config.items()},
            "files": {path: len(content) for path, content in self.files.items()},
        }


def allow(home: Path, source: Path) -> Kept:
    """Keep a copy of an app, from its folder or archive; raise FarrError for what is no app.

    This alone lets nothing run: the policy has to name the digest as well.
    """
    _insist_home(home)
    try:
        files = read_bundle(source)
        told = about(files)
        digest = AppStore(home=home).keep(files)
    except Rejected as error:
        remedy = _("give the folder with its pyproject.toml, or what `flwr build` made of it")
        raise FarrError("app", _("not an app: {why}").format(why=translate(error.detail)), remedy=remedy) from error
    except OSError as error:
        raise FarrError("app", _("{path} cannot be read").format(path=source)) from error
    return Kept(digest=digest.hex(), told=told, files=files, allowed=digest in _named_by_policy(home))


def kept(home: Path) -> tuple[Kept, ...]:
    """Return the apps that are here or that the policy names."""
    _insist_home(home)
    store, named = AppStore(home=home), _named_by_policy(home)
    return tuple(_kept(store, digest, named) for digest in sorted({*store.digests(), *named}))


def find(home: Path, beginning: str) -> Kept:
    """Return the app whose digest begins so; raise FarrError where there is none, or more than one."""
    found = [app for app in kept(home) if len(beginning) >= LEAST_DIGITS and app.digest.startswith(beginning.lower())]
    if len(found) == 1:
        return found[0]
    text = _("{count} apps begin with {text}") if found else _("no app here begins with {text}")
    if len(beginning) < LEAST_DIGITS:
        text = _("{text} is too short to name an app")
    raise FarrError(
        "app",
        text.format(count=len(found), text=beginning),
        remedy=_("give more of its digest, as `farr node apps list` shows it")
        if found or len(beginning) < LEAST_DIGITS
        else _("see them: farr node apps list"),
    )


def forbid(home: Path, beginning: str) -> Kept:
    """Remove the copy of an app; from then on it does not run, whatever the policy says."""
    app = find(home, beginning)
    AppStore(home=home).remove(bytes.fromhex(app.digest))
    return app


def latest(home: Path, digest: str) -> tuple[Report, ...]:
    """Return how an app's last calls ended, the newest first. For the operator's eyes: it depends on patients."""
    return tuple(report for report in reports.read(home) if report.app == digest)


def why_no_sandbox() -> str:
    """Return why no app can be shut off on this machine; empty: it can."""
    return sandbox.why_none()


def _insist_home(home: Path) -> None:
    """Raise FarrError for a folder that has no policy: a misspelt one would be made, and no node look there."""
    if not (home / policies.FILE).is_file():
        raise FarrError(
            "no-member",
            _("{folder} is not the home of a node: it has no {file}").format(folder=home, file=policies.FILE),
            remedy=_("name the node's folder with --home"),
        )


def _named_by_policy(home: Path) -> frozenset[bytes]:
    try:
        training = policies.load(home / policies.FILE).training
    except policies.PolicyError:
        return frozenset()
    return frozenset() if training is None else frozenset(training.apps)


def _kept(store: AppStore, digest: bytes, named: frozenset[bytes]) -> Kept:
    try:
        files: dict[str, bytes] = store.files(digest)
        told: About | None = about(files)
    except Rejected:
        files, told = {}, None
    return Kept(digest=digest.hex(), told=told, files=files, allowed=digest in named)
