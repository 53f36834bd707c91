"""Pairs of codes as a graph: nodes, edges with intervals, and which of them the noise cannot explain."""

from __future__ import annotations

import json

import pytest

from farr.errors import FarrError
from farr.figures.graph import graph_of
from queries.answers.answer import Answer, AnswerColumn, AnswerRow
from queries.answers.figures import Estimate

LABELS = {"I10": "hypertension", "E11": "diabetes", "*": "all"}


def figure(value, low, high):
    """Return a figure with its interval."""
    return Estimate(value=value, low=low, high=high, flags=())


def answer(*, second=LABELS, figures=("n", "lift")):
    """Return an answer of pairs: one frequent, one within the noise, one undefined, one subtotal."""
    columns = [AnswerColumn(name=name, kind="key", unit="") for name in ("main", "other")]
    columns += [AnswerColumn(name=name, kind="estimate", unit="") for name in figures]
    rows = [
        ("I10", "E11", figure(5.0, -2.0, 12.0), figure(0.8, 0.0, None)),
        ("E11", "I10", figure(90.0, 82.0, 98.0), figure(2.0, 1.7, 2.3)),
        ("E11", "E11", figure(None, None, None), figure(None, None, None)),
        ("E11", "*", figure(400.0, 390.0, 410.0), figure(None, None, None)),
    ]
    lines = tuple(AnswerRow(cells=row[: 2 + len(figures)]) for row in rows)
    labels = {"main": LABELS, "other": second}
    return Answer(columns=tuple(columns), rows=lines, labels=labels, flags=(), hidden=0)


def test_edges_are_the_pairs_with_a_figure_heaviest_first():
    """Undefined pairs and subtotals are left out; a code of the same set in both columns is one node."""
    graph = graph_of(answer())
    assert [(edge.source, edge.target, edge.weight.value) for edge in graph.edges] == [
        ("E11", "I10", 90.0),
        ("I10", "E11", 5.0),
    ]
    assert [(node.id, node.label, node.column) for node in graph.nodes] == [
        ("I10", "hypertension", ""),
        ("E11", "diabetes", ""),
    ]


def test_only_edges_that_the_noise_cannot_explain_are_certain():
    """An interval that holds zero is no edge of the certain graph; nodes without an edge go too."""
    graph = graph_of(answer(), "n").certain()
    assert [(edge.source, edge.target) for edge in graph.edges] == [("E11", "I10")]
    assert graph_of(answer(), "n").heaviest(0).nodes == ()


def test_codes_of_different_sets_stay_apart():
    """Main diagnosis and other diagnosis in two lists: the same code is two nodes, each of its column."""
    graph = graph_of(answer(second={"I10": "essential hypertension", "E11": "type 2"}))
    assert {node.id for node in graph.nodes} == {"main:I10", "main:E11", "other:I10", "other:E11"}
    assert {node.label for node in graph.nodes if node.column == "other"} == {"essential hypertension", "type 2"}


def test_the_plain_form_is_node_link_json_with_every_interval():
    """Each edge names two nodes, and carries the weight and the lift with their ends."""
    plain = json.loads(json.dumps(graph_of(answer(), "n").to_plain()))
    ids = {node["id"] for node in plain["nodes"]}
    assert all({edge["source"], edge["target"]} <= ids for edge in plain["edges"])
    assert plain["edges"][0] == {
        "source": "E11",
        "target": "I10",
        "certain": True,
        "weight": 90.0,
        "weight_low": 82.0,
        "weight_high": 98.0,
        "lift": 2.0,
        "lift_low": 1.7,
        "lift_high": 2.3,
    }
    assert plain["directed"] is True
    assert plain["graph"] == {"weight": "n"}


def test_an_answer_without_two_columns_of_codes_is_no_graph():
    """One column, or no such figure, is refused with what to do instead."""
    one = answer()
    single = Answer(
        columns=one.columns[1:],
        rows=tuple(AnswerRow(cells=row.cells[1:]) for row in one.rows),
        labels=one.labels,
        flags=(),
        hidden=0,
    )
    with pytest.raises(FarrError, match="two columns"):
        graph_of(single)
    with pytest.raises(FarrError, match="no figure called 'm'"):
        graph_of(answer(), "m")
    with pytest.raises(FarrError, match="no figure"):
        graph_of(answer(figures=()))
