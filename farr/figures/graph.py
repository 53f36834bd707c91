"""Pairs of codes as a graph: an answer with two columns of codes, as nodes and weighted edges with intervals.

    result = home.sql("SELECT main, other, COUNT(*) AS n, LIFT() AS lift FROM discharge GROUP BY main, other")
    graph_of(result.answer, "n").certain().to_plain()

The plain form is node-link JSON, which networkx, d3 and others read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from farr.errors import FarrError
from farr.texts import _
from queries.answers.answer import Answer
from queries.answers.figures import ALL, Estimate

ENDS = 2
"""Columns of codes that an edge has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A code."""

    id: str
    """The code; where the two columns hold different code sets, ``column:code``."""
    label: str
    """What it means."""
    column: str
    """The column that it is of; empty where it may be of either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A pair of codes."""

    source: str
    """Id of the node of the first column."""
    target: str
    """Id of the node of the second."""
    weight: Estimate
    """The figure that was chosen."""
    others: Mapping[str, Estimate]
    """By column of the answer, the other figures of the same pair, such as a lift."""

    @property
    def certain(self) -> bool:
        """Return whether the noise alone cannot explain the weight: its interval excludes zero."""
        low, high = self.weight.low, self.weight.high
        return (low is not None and low > 0) or (high is not None and high < 0)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Codes and how they occur together."""

    nodes: tuple[Node, ...]
    """Every code of the public lists that has an edge."""
    edges: tuple[Edge, ...]
    """Every pair that the answer shows and has a figure for, heaviest first."""
    weight: str
    """The column of the answer that weights are from."""

    def certain(self) -> Graph:
        """Return the graph of those edges whose interval excludes zero.

        Which they are is read off noisy values: of a hundred pairs that never occur, two or three are among them.
        """
        return _joined(self, tuple(edge for edge in self.edges if edge.certain))

    def heaviest(self, edges: int) -> Graph:
        """Return the graph of the heaviest edges."""
        return _joined(self, self.edges[: max(0, edges)])

    def to_plain(self) -> dict[str, object]:
        """Return node-link JSON: ``nodes`` with ``id``, ``edges`` with ``source``, ``target`` and the figures."""
        return {
            "directed": True,
            "multigraph": False,
            "graph": {"weight": self.weight},
            "nodes": [{"id": node.id, "label": node.label, "column": node.column} for node in self.nodes],
            "edges": [
                {"source": edge.source, "target": edge.target, "certain": edge.certain}
                | _plain("weight", edge.weight)
                | {key: value for name, figure in edge.others.items() for key, value in _plain(name, figure).items()}
                for edge in self.edges
            ],
        }


def graph_of(answer: Answer, weight: str | None = None) -> Graph:
    """Return an answer with two columns of codes as a graph; raise FarrError where it has not two, or no such figure.

    ``weight`` names the figure that edges are weighted by; without it, the first. Where both columns hold the same code
    set, a code is one node; subtotals and pairs without a figure are left out.
    """
    keys = [place for place, column in enumerate(answer.columns) if column.kind == "key"]
    figures = [place for place, column in enumerate(answer.columns) if column.kind == "estimate"]
    if len(keys) != ENDS:
        raise FarrError(
            "no-graph",
            _("a graph is of two columns of codes; this answer has {number}").format(number=len(keys)),
            remedy=_("group by two code columns, such as main and other diagnosis"),
        )
    named = {answer.columns[place].name: place for place in figures}
    if weight is None:
        weight = next(iter(named), "")
    if weight not in named:
        raise FarrError(
            "no-graph",
            _("the answer has no figure called {name}").format(name=repr(weight)),
            remedy=_("choose one of {names}").format(names=", ".join(named)),
        )
    first, second = (answer.columns[place].name for place in keys)
    same = answer.labels[first] == answer.labels[second]
    nodes: dict[str, Node] = {}
    edges = []
    for row in answer.rows:
        ends = []
        for place, name in zip(keys, (first, second), strict=True):
            code = str(row.cells[place])
            label = answer.labels[name].get(code, code)
            ends.append(Node(id=code if same else f"{name}:{code}", label=label, column="" if same else name))
        drawn = {name: cell for name, place in named.items() if isinstance(cell := row.cells[place], Estimate)}
        if ALL.code in (row.cells[keys[0]], row.cells[keys[1]]) or drawn[weight].value is None:
            continue
        nodes |= {node.id: node for node in ends}
        others = {name: figure for name, figure in drawn.items() if name != weight}
        edges.append(Edge(source=ends[0].id, target=ends[1].id, weight=drawn[weight], others=others))
    edges.sort(key=lambda edge: -(edge.weight.value or 0.0))
    return Graph(nodes=tuple(nodes.values()), edges=tuple(edges), weight=weight)


def _joined(graph: Graph, edges: tuple[Edge, ...]) -> Graph:
    """Return the graph of some of the edges, with the nodes that they join."""
    ends = {end for edge in edges for end in (edge.source, edge.target)}
    return replace(graph, nodes=tuple(node for node in graph.nodes if node.id in ends), edges=edges)


def _plain(name: str, figure: Estimate) -> dict[str, object]:
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
