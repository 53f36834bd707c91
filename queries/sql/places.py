"""Where in the statement a refusal points: from the parser's tokens to a run of characters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from sqlglot import Token, TokenType, exp

from queries.errors import QueryError, StatementError

Span = tuple[int, int]
"""0-based characters, end excluded."""

QUOTED = (TokenType.STRING, TokenType.IDENTIFIER)
"""Tokens whose text is a name or a value, never a keyword."""


_CLAUSES: Mapping[type, str] = MappingProxyType(
    {exp.Where: "WHERE", exp.Group: "GROUP BY", exp.Having: "HAVING", exp.Order: "ORDER BY", exp.Limit: "LIMIT"}
)


class Places:
    """Finds the place of a node, and makes refusals that point at it."""

    def __init__(self, statement: str, tokens: list[Token]) -> None:
        """Take a statement and its tokens."""
        self.statement = statement
        self.tokens = tokens

    def whole(self) -> Span:
        """Return the statement without the space around it."""
        if not self.tokens:
            return 0, len(self.statement)
        return self.tokens[0].start, self.tokens[-1].end + 1

    def keyword(self, *words: str, after: int = 0) -> Span | None:
        """Return the first token at or after a character that is one of ``words`` and stands for itself."""
        for token in self.tokens:
            written = " ".join(token.text.upper().split())
            if token.start >= after and token.token_type not in QUOTED and written in words:
                return token.start, token.end + 1
        return None

    def last(self, word: str, *, before: int) -> Span | None:
        """Return the last token before a character that is ``word`` and stands for itself."""
        for token in reversed(self.tokens):
            if token.start < before and token.token_type not in QUOTED and token.text.upper() == word:
                return token.start, token.end + 1
        return None

    def of(self, node: exp.Expression) -> Span:
        """Return what the node covers; of a node that the parser gives no place, that of its nearest ancestor."""
        parts = list(node.walk())
        marks = [part.meta for part in parts if "start" in part.meta]
        if marks:
            start = min(mark["start"] for mark in marks)
            signs = sum(isinstance(part, (exp.Neg, exp.Not)) for part in parts)
            return self._balanced(self._with_signs(start, signs), max(mark["end"] for mark in marks) + 1)
        if clause := self.keyword(_CLAUSES.get(type(node), "")):
            return clause
        parent = node.parent
        return self.of(parent) if isinstance(parent, exp.Expression) else self.whole()

    def call(self, node: exp.Expression) -> Span:
        """Return the name of a function that the parser gives no place, else what the node covers."""
        start, end = self.of(node)
        before = [token for token in self.tokens if token.end < start][-2:]
        if len(before) == 2 and before[1].token_type == TokenType.L_PAREN and before[0].text.isidentifier():  # noqa: PLR2004
            return before[0].start, before[0].end + 1
        return start, end

    def text(self, node: exp.Expression) -> str:
        """Return the node as it was written, on one line."""
        start, end = self.of(node)
        return " ".join(self.statement[start:end].split())

    def refusal(self, where: exp.Expression | Span, message: str, remedy: str) -> StatementError:
        """Return an error that points at a node or a run of characters."""
        start, end = where if isinstance(where, tuple) else self.of(where)
        return StatementError(message, remedy=remedy, text=self.statement, start=start, end=end)

    @contextmanager
    def at(self, where: exp.Expression | Span) -> Iterator[None]:
        """Give a place to every refusal raised inside that has none yet."""
        try:
            yield
        except QueryError as error:
            if isinstance(error, StatementError) and error.text:
                raise
            raise self.refusal(where, error.message, error.remedy) from error

    def _with_signs(self, start: int, signs: int) -> int:
        """Move a beginning to the left, over at most so many signs before it."""
        for token in reversed([token for token in self.tokens if token.end < start]):
            if signs <= 0 or token.token_type not in (TokenType.DASH, TokenType.NOT):
                break
            start, signs = token.start, signs - 1
        return start

    def _balanced(self, start: int, end: int) -> Span:
        """Widen a run of characters until its parentheses match."""
        inside = [token for token in self.tokens if start <= token.start and token.end < end]
        depth = missing = 0
        for token in inside:
            if token.token_type == TokenType.L_PAREN:
                depth += 1
            elif token.token_type == TokenType.R_PAREN:
                depth -= 1
                missing = max(missing, -depth)
        for token in reversed(self.tokens):
            if missing and token.end < start and token.token_type == TokenType.L_PAREN:
                start, missing, depth = token.start, missing - 1, depth + 1
        for token in self.tokens:
            if depth > 0 and token.start >= end and token.token_type == TokenType.R_PAREN:
                end, depth = token.end + 1, depth - 1
        return start, end
