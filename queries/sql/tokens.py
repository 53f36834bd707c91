"""Before parsing: the statement as tokens, and the refusals that need no tree."""

from __future__ import annotations

from sqlglot import TokenType, tokenize
from sqlglot.errors import SqlglotError

from queries.errors import StatementError
from queries.sql.places import Places

MOST_CHARACTERS = 20_000
"""Longest statement: the parser takes some ten microseconds a character."""

MOST_DEPTH = 40
"""Deepest nesting: the parser is recursive, and a statement of parentheses alone must not exhaust it."""

_CHANGING = frozenset(
    {"INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "DROP", "ALTER", "TRUNCATE", "COPY", "ATTACH", "DETACH"}
    | {"INSTALL", "LOAD", "EXPORT", "IMPORT", "GRANT", "REVOKE", "PRAGMA", "SET", "RESET", "USE", "CALL", "EXECUTE"}
    | {"VACUUM", "BEGIN", "COMMIT", "ROLLBACK", "EXPLAIN", "DESCRIBE", "SHOW"}
)

_OPENING = (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE)
_CLOSING = (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE)

_SHAPE = "ask SELECT groups and aggregates FROM one table"


def places_of(statement: str) -> Places:
    """Split a statement into tokens; raise StatementError unless it looks like one SELECT of bearable size."""
    if len(statement) > MOST_CHARACTERS:
        raise StatementError(
            f"longer than {MOST_CHARACTERS:,} characters",
            remedy="name levels or beginnings of codes instead of long lists",
            text=statement,
            start=MOST_CHARACTERS,
            end=len(statement),
        )
    _check_characters(statement)
    try:
        tokens = tokenize(statement)
    except (SqlglotError, ValueError, IndexError, RecursionError) as error:
        start = _open_quote(statement)
        raise StatementError(
            "a quotation mark or a comment is not closed",
            remedy="close it; a quotation mark inside a text is written twice",
            text=statement,
            start=start,
            end=len(statement),
        ) from error
    places = Places(statement, tokens)
    if not tokens or tokens[0].token_type == TokenType.SEMICOLON:
        raise places.refusal((0, len(statement)), "there is no question", _SHAPE)
    _check_beginning(places)
    _check_single(places)
    _check_depth(places)
    for index, token in enumerate(tokens):
        if token.token_type == TokenType.HINT:
            # The tokenizer misplaces hints; what it takes for one stands right after the token before.
            start = statement.find("/*+", tokens[index - 1].end)
            raise places.refusal((start, start + 3), "hints are not taken", "leave the hint out")
    if nulls := places.keyword("NULLS"):
        raise places.refusal(nulls, "undefined values always come last", "leave NULLS FIRST or NULLS LAST out")
    return places


def _check_characters(statement: str) -> None:
    for position, character in enumerate(statement):
        if "\ud800" <= character <= "\udfff" or (character < " " and character not in "\t\n\r"):
            raise StatementError(
                "a character that is not text",
                remedy="leave it out",
                text=statement,
                start=position,
                end=position + 1,
            )


def _check_beginning(places: Places) -> None:
    first = places.tokens[0]
    if first.token_type == TokenType.SELECT:
        return
    place, word = (first.start, first.end + 1), first.text.upper()
    if first.token_type == TokenType.WITH:
        raise places.refusal(place, "a query inside another is not answered", _SHAPE)
    if word in _CHANGING:
        raise places.refusal(place, f"{word} is not a question: nothing is changed, loaded or written", _SHAPE)
    raise places.refusal(place, "a question begins with SELECT", _SHAPE)


def _check_single(places: Places) -> None:
    ends = [index for index, token in enumerate(places.tokens) if token.token_type == TokenType.SEMICOLON]
    if ends and ends[0] + 1 < len(places.tokens):
        after = places.tokens[ends[0] + 1]
        raise places.refusal(
            (after.start, places.tokens[-1].end + 1), "one statement at a time", "ask each question by itself"
        )


def _check_depth(places: Places) -> None:
    depth = run = 0
    for token in places.tokens:
        if token.token_type in _OPENING or token.token_type == TokenType.CASE:
            depth += 1
        elif token.token_type in _CLOSING or token.token_type == TokenType.END:
            depth -= 1
        run = run + 1 if token.token_type in (TokenType.NOT, TokenType.DASH, TokenType.PLUS) else 0
        if max(depth, run) > MOST_DEPTH:
            raise places.refusal(
                (token.start, token.end + 1), f"nested more than {MOST_DEPTH} deep", "write the condition more plainly"
            )


def _open_quote(statement: str) -> int:
    """Return where the text, name or comment begins that is not closed; the last character when there is none."""
    position = 0
    while position < len(statement):
        for begin, end in (("--", "\n"), ("/*", "*/"), ("'", "'"), ('"', '"')):
            if statement.startswith(begin, position):
                close = statement.find(end, position + len(begin))
                if close < 0 and begin != "--":
                    return position
                position = len(statement) if close < 0 else close + len(end) - 1
                break
        position += 1
    return max(0, len(statement) - 1)
