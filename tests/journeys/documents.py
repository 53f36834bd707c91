"""Documents as the tests read them: fenced blocks in order, each with what a comment before it says of it.

    <!-- test: exit 1 -->              the next block ends with this exit code
    <!-- test: file name.toml -->      the next block is the content of this file
    <!-- test: copy of docs/a.toml --> the next block says what this file of the repository says
    <!-- test: skip because ... -->    the next block cannot run here, for this reason
    <!-- test: setup                   commands that run at this place and that no reader sees
    ... -->

A block of `sh` is run. A block of `text` after it is what a reader sees: every line of it must have been printed, up
to figures, identifiers and times. `python` is run as a script; `toml` must parse.
"""

import re
from dataclasses import dataclass, field

_COMMENT = re.compile(r"<!-- test: (.*?)-->", re.DOTALL)
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_SEEN = re.compile(r"[^\W\d_]+")
_VARYING = re.compile(r"[(（][^)）]*[)）]|\b[0-9a-f]{8,}\b|undefined")


@dataclass
class Block:
    """One piece of a document that the tests act on."""

    kind: str
    """``sh``, ``python``, ``toml``, ``text``, ``setup``, or another language."""
    text: str
    """What is inside the fence."""
    line: int
    """Where it begins."""
    exit: int = 0
    """Expected exit code."""
    file: str = ""
    """Name of the file that it is the content of."""
    copied: str = ""
    """File of the repository that it shows."""
    skipped: str = ""
    """Why it cannot run."""
    seen: list["Block"] = field(default_factory=list)
    """What a reader is told to see after it."""


def blocks_of(text):
    """Return the blocks of a document in order; raise ValueError for a directive that says nothing."""
    found = []
    for match in _FENCE.finditer(text):
        indent, kind, body = match.groups()
        body = "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))
        found.append((match.start(), Block(kind=kind, text=body, line=_line(text, match.start()))))
    pending = []
    for match in _COMMENT.finditer(text):
        word, _blank, rest = match[1].strip().partition(" ") if not match[1].startswith("setup") else ("setup", "", "")
        if word == "setup":
            found.append((match.start(), Block(kind="setup", text=match[1][5:], line=_line(text, match.start()))))
            continue
        after = [block for start, block in found if start >= match.end()]
        if not after or word not in {"exit", "file", "copy", "skip"} or not rest:
            raise ValueError(f"line {_line(text, match.start())}: {match[0]}")
        pending.append((word, rest, min(after, key=lambda block: block.line)))
    for word, rest, block in pending:
        if word == "exit":
            block.exit = int(rest)
        elif word == "file":
            block.file = rest
        elif word == "copy":
            block.copied = rest.removeprefix("of ")
        else:
            block.skipped = rest.removeprefix("because ").strip()
    ordered = [block for _start, block in sorted(found, key=lambda each: each[0])]
    last = None
    for block in ordered:
        if block.kind == "text" and last is not None:
            last.seen.append(block)
        last = block if block.kind in {"sh", "python"} else last if block.kind == "text" else None
    return ordered


def unseen(block, printed):
    """Return the lines of a ``text`` block whose words no printed line has; figures, ids and marks may differ."""
    lines = {words_of(line) for line in printed.splitlines()}
    whole = words_of(" ".join(printed.split()))
    missing = []
    for line in block.text.splitlines():
        words = words_of(line)
        if line.strip() != "..." and words and words not in lines and not _within(words, whole):
            missing.append(line)
    return missing


def words_of(line):
    """Return the words of a line, without what varies between two runs."""
    return tuple(_SEEN.findall(_VARYING.sub(" ", line)))


def _within(words, whole):
    """Tell whether the words stand together in the output: a long line may be wrapped in another place."""
    return len(words) > 3 and any(whole[start : start + len(words)] == words for start in range(len(whole)))


def _line(text, position):
    return text.count("\n", 0, position) + 1
