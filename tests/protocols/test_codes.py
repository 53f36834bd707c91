import ast
import re
from pathlib import Path

import pytest

from protocols.codes import ADVICE
from protocols.errors import ProtocolError, Rejected

ROOT = Path(__file__).resolve().parents[2]


def raised():
    """Return (file, code) of each ``Rejected("...")`` in the packages."""
    found = []
    for package in ("protocols", "coordinator", "node", "farr"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Rejected" and node.args:
                    code = node.args[0]
                    if isinstance(code, ast.Constant):
                        found.append((path.name, code.value))
    return found


def test_every_code_that_is_raised_has_advice():
    """Whoever is refused can look up what to do."""
    codes = raised()
    assert len(codes) > 50
    assert [each for each in codes if each[1] not in ADVICE] == []


def test_a_code_is_a_short_name_and_its_advice_a_sentence_without_a_place_for_values():
    """A code cannot carry a number of patients, and its advice is the same for everybody."""
    for code, advice in ADVICE.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert "{" not in advice
        assert "%" not in advice
        assert advice == advice.strip()
        assert len(advice) > 20


def test_a_refusal_keeps_its_detail_apart_from_its_code():
    """The code travels; the detail is for the refuser's own log."""
    refusal = Rejected("budget", "7 units left")
    assert (refusal.code, refusal.detail) == ("budget", "7 units left")
    assert Rejected("budget").detail == ""


def test_an_invented_code_is_a_defect():
    """It is noticed where it is raised, not where it arrives."""
    with pytest.raises(ProtocolError, match="no such code"):
        Rejected("because")
