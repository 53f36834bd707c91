"""MODEL.toml: the model that a researcher wants, as a file. Errors name the line.

    name = "stroke_death"                  kind = "logistic"
    table = "admission"                    outcome = "died = 'Y'"
    terms = ["age", "sex", "systolic >= 180", "site.country"]
    [privacy]                              epsilon = 1.0

``farr/training/recipe.py`` says which keys there are.
"""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from pathlib import Path

from farr.errors import FarrError
from farr.texts import _, translate
from farr.training.recipe import Recipe, read
from queries.errors import CatalogueError

MOST_BYTES = 1 << 20
"""Longest accepted file."""


def read_file(path: Path) -> Recipe:
    """Read a file; raise FarrError("model") with the line and the key for anything wrong."""
    source = path.read_bytes()
    if len(source) > MOST_BYTES:
        raise _error(path.name, "", 0, _("longer than {most:,} bytes").format(most=MOST_BYTES), _("shorten it"))
    try:
        text = source.decode()
        values = tomllib.loads(text, parse_float=Decimal)
    except (UnicodeDecodeError, ValueError, RecursionError, ArithmeticError) as error:
        message = str(error) if not isinstance(error, (UnicodeDecodeError, RecursionError)) else _("not TOML in UTF-8")
        raise _error(path.name, "", 0, message, _("correct the TOML there")) from error
    try:
        return read(values, path.name)
    except CatalogueError as error:
        message = error.message.removeprefix(f"{path.name}: {error.key}: ")
        line = line_of(text, error.key)
        raise _error(path.name, error.key, line, translate(message), translate(error.remedy)) from error


def line_of(source: str, key: str) -> int:
    """Return the line, from 1, in which a dotted key of a TOML text is written; 0 where it is not found."""
    section, _dot, name = re.sub(r"\[\d+\]$", "", key).rpartition(".")
    inside = ""
    for number, line in enumerate(source.splitlines(), start=1):
        if heading := re.match(r"\s*\[\s*([\w.\-]+)\s*\]", line):
            inside = heading[1]
            if inside == key:
                return number
        elif inside == section and re.match(rf"\s*[\"']?{re.escape(name)}[\"']?\s*=", line):
            return number
    return 0


def _error(file: str, key: str, line: int, message: str, remedy: str) -> FarrError:
    place = _("{file}, line {line}").format(file=file, line=line) if line else file
    return FarrError(
        "model",
        f"{place}: {key}: {message}" if key else f"{place}: {message}",
        remedy=remedy,
        details={"file": file, "key": key, "line": line},
    )
