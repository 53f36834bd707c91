"""Texts for people, in English and Simplified Chinese.

English texts are the keys. ``farr/locale/zh/LC_MESSAGES/farr.po`` holds the Chinese ones, also for the texts of queries
and protocols, which know no language: a template there (``table {} has no column {}``) fits every text made from it.
"""

from __future__ import annotations

import gettext
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "zh")

FOLDER = Path(__file__).parent / "locale"
"""Where the translations are."""

DOMAIN = "farr"


@dataclass(slots=True)
class _Current:
    language: str = "en"
    messages: gettext.NullTranslations = field(default_factory=gettext.NullTranslations)


_current = _Current()


def use(language: str) -> None:
    """Speak ``language`` from now on: one of LANGUAGES."""
    if language not in LANGUAGES:
        raise ValueError(language)
    _current.language = language
    _current.messages = gettext.translation(DOMAIN, str(FOLDER), [language], fallback=True)
    # The words of the command-line library (Usage, Options) come through Python's own gettext, by these two settings.
    os.environ["LANGUAGE"] = language
    gettext.bindtextdomain(DOMAIN, str(FOLDER))
    gettext.textdomain(DOMAIN)


def language() -> str:
    """Return the language in use."""
    return _current.language


def preferred(environment: Mapping[str, str]) -> str:
    """Return the language that a person's settings ask for: FARR_LANG, else the locale."""
    for name in ("FARR_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if setting := environment.get(name):
            return "zh" if setting.lower().startswith("zh") else "en"
    return "en"


def _(message: str) -> str:
    """Return the message in the language in use; English where there is no translation."""
    return _current.messages.gettext(message) if message else ""


def N_(message: str) -> str:  # noqa: N802
    """Mark a message for translation where it cannot be translated yet, such as at import; return it unchanged."""
    return message


def translate(message: str) -> str:
    """Return a finished text of queries or protocols in the language in use: by the text, else by its template."""
    if (whole := _(message)) != message:
        return whole
    for pattern, translated in _templates(_current.language):
        if match := pattern.fullmatch(message):
            # A filled-in phrase may be a text itself; a single word is a name, such as a column's, and stays.
            parts = (_(part) if " " in part else part for part in match.groups())
            return translated.format(*parts)
    return message


@cache
def _templates(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the translations of templates with anonymous places, those with the most fixed text first."""
    messages = gettext.translation(DOMAIN, str(FOLDER), [language], fallback=True)
    catalogue: Mapping[object, str] = getattr(messages, "_catalog", {})
    templates = [key for key in catalogue if isinstance(key, str) and "{}" in key]
    return tuple(
        (re.compile("(.*)".join(map(re.escape, key.split("{}"))), re.DOTALL), catalogue[key])
        for key in sorted(templates, key=lambda key: (-len(key.replace("{}", "")), key))
    )
