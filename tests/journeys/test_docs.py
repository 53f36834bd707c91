"""Everything that the README and the guides tell a reader to type is typed here, and what they promise is seen."""

import re
import shlex
import tomllib

import click
import pytest
import typer.main

from farr.cli.main import app
from tests.journeys.documents import blocks_of, unseen
from tests.journeys.stage import ROOT, SHELL, Stage

DOCUMENTS = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if path.exists()]
NAMES = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]

HUB = "hub.example.org:7443"
"""Stands in the guides for the coordinator's address, and here for a port of the loopback interface."""

SOON = 480
"""Seconds that a document may take on a machine that is busy with other tests; alone, a minute."""
MARK = "@@@ block"

SPAN = re.compile(r"`(farr [a-z][^`]*)`")
MAKE = re.compile(r"\bmake +([a-z]+)")
LINK = re.compile(r"\]\(((?!https?:)[^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def run_of(blocks):
    """Return the blocks that run or are written to files; what `make` does, .ci/run does."""
    made = [block for block in blocks if block.kind == "sh" and re.fullmatch(r"(make +[a-z]+\n)+", block.text)]
    kept = [block for block in blocks if not block.skipped and block not in made]
    return [block for block in kept if block.kind in {"sh", "python", "setup"} or block.file]


def script_of(blocks, stage):
    """Return one shell script of all that a document tells to do, with a mark before each block and at the end."""
    lines = ["set -eu", "shopt -s expand_aliases"]
    for number, block in enumerate(blocks):
        text, file = (
            part.replace(HUB, f"127.0.0.1:{stage.port}").replace("/srv/", f"{stage.folder}/srv/")
            for part in (block.text, block.file)
        )
        lines.append(f'echo; echo "{MARK} {number}"; echo "{MARK} {number}" >&2')
        if block.file:
            lines += [f"mkdir -p \"$(dirname '{file}')\"", _document(text, f"cat > '{file}'")]
        elif block.kind == "python":
            lines.append(_document(text, "python -W error::DeprecationWarning:__main__ -"))
        elif block.exit:
            lines += ["code=0", f"(set -e\n{text}) || code=$?", f'[ "$code" -eq {block.exit} ]']
        else:
            lines.append(text)
    return "\n".join([*lines, f'echo; echo "{MARK} {len(blocks)}"', ""])


def _document(text, command):
    return f"{command} <<'END_OF_BLOCK'\n{text.rstrip(chr(10))}\nEND_OF_BLOCK"


def said_by(output, blocks):
    """Return what each block printed; the last entry is empty once all of them ran."""
    parts = re.split(rf"^{MARK} (\d+)$", output, flags=re.MULTILINE)
    said = dict.fromkeys(range(len(blocks) + 1))
    for number, text in zip(parts[1::2], parts[2::2], strict=True):
        said[int(number)] = (said[int(number)] or "") + text
    return said


def commands_in(text):
    """Yield the words after ``farr`` of every call in a piece of shell."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in joined.splitlines():
        words = []
        for word in [*_words(line.replace("$(", "; ").replace("`", " ")), ";"]:
            if set(word) <= set("();<>|&"):
                yield from _calls(words)
                words = []
            else:
                words.append(word)


def _calls(words):
    """Yield what follows ``farr``; in `sudo -u farr farr node serve` the first one is a user."""
    for place, word in enumerate(words):
        if word == "farr" and words[place + 1 :][:1] != ["farr"]:
            yield words[place + 1 :]
            return


def _words(line):
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:  # a quotation goes on in the next line: what comes before it is checked
        return line[: max(line.rfind('"'), line.rfind("'"))].split()


def unknown_in(words):
    """Return the first word of a call that the command line does not know, or None."""
    command, rest = typer.main.get_command(app), list(words)
    if "--lang" in rest:
        del rest[rest.index("--lang") : rest.index("--lang") + 2]
    known = {"--help", "--version"}
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        if (name := rest.pop(0)) not in command.commands:
            return name
        command = command.commands[name]
    known |= {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    return next((word for word in rest if re.match(r"--[a-z]", word) and word.partition("=")[0] not in known), None)


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_command_that_a_document_shows_exists(path):
    """Commands and options, in blocks and in running text, are those of the command line; make's targets exist."""
    text = path.read_text(encoding="utf-8")
    calls = [words for block in blocks_of(text) if block.kind == "sh" for words in commands_in(block.text)]
    calls += [words for span in SPAN.findall(text) for words in commands_in(" ".join(span.split()))]
    wrong = {" ".join(words[:3]): unknown for words in calls if (unknown := unknown_in(words))}
    assert wrong == {}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    shown = {target for block in blocks_of(text) if block.kind == "sh" for target in MAKE.findall(block.text)}
    assert shown <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_link_leads_somewhere(path):
    """A link within the repository names a file that exists, and a heading that is in it."""
    broken = []
    for target, heading in LINK.findall(path.read_text(encoding="utf-8")):
        aimed = (path.parent / target) if target else path
        headings = HEADING.findall(aimed.read_text(encoding="utf-8")) if heading and aimed.is_file() else []
        slugs = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
        if not aimed.exists() or (heading and heading not in slugs):
            broken.append(f"{target}#{heading}" if heading else target)
    assert broken == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_what_does_not_run_is_checked_as_far_as_it_goes(path):
    """No block is passed over in silence: a skip says why, TOML parses, and a copy of a file is that file."""
    for block in blocks_of(path.read_text(encoding="utf-8")):
        assert not block.skipped or len(block.skipped.split()) > 2, f"line {block.line}"
        if block.kind == "toml":
            tomllib.loads(block.text)
        if block.copied:
            assert block.text == (ROOT / block.copied).read_text(encoding="utf-8"), f"line {block.line}"


@pytest.mark.timeout(SOON + 60)
@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if any(b.kind == "sh" for b in run_of(blocks_of(path.read_text(encoding="utf-8"))))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_a_document_does_what_it_says(path, tmp_path):
    """Typed from top to bottom on a fresh machine, every block ends as stated and prints what the reader shall see."""
    blocks = run_of(blocks_of(path.read_text(encoding="utf-8")))
    stage = Stage(tmp_path)
    for name in ("farr", "docs", "Makefile", "deploy"):
        (tmp_path / "work" / name).symlink_to(ROOT / name)
    (tmp_path / "srv").mkdir()
    try:
        script = tmp_path / "document.sh"
        script.write_text(script_of(blocks, stage), encoding="utf-8")
        process = stage.start(SHELL, str(script), output=tmp_path / "output")
        process.wait(timeout=SOON)
    finally:
        stage.strike()
    output = (tmp_path / "output").read_text(encoding="utf-8", errors="replace")
    said = said_by(output, blocks)
    assert said[len(blocks)] is not None, f"exit code {process.returncode}, in the last of these blocks:\n{output}"
    wrong = {
        f"line {block.line}: {line}"
        for number, block in enumerate(blocks)
        for seen in block.seen
        for line in unseen(seen, said[number])
    }
    assert wrong == set(), output


def test_a_line_that_was_not_printed_is_noticed():
    """The comparison of outputs lets figures, ids and times differ, and nothing else."""
    (block,) = list(blocks_of("```text\nF  female  337 ± 51\nRelease 9f0ac15f, 0.16 s.\n```\n"))
    assert unseen(block, "F  female  12 ± 3 !\nRelease 12345678, 9.99 s.") == []
    assert unseen(block, "F  male  337 ± 51\nRelease 9f0ac15f, 0.16 s.") == ["F  female  337 ± 51"]


def test_a_command_that_does_not_exist_is_noticed():
    """A misspelt command, subcommand or option is found, wherever in a line the call stands."""
    script = """sudo -u farr farr node serv --home x
x=$(farr query --jsn "SELECT 1") && farr budget --home y \\
  --all | head
farr query --epsilom 1 "SELECT 1,
  2"
"""
    assert [unknown_in(words) for words in commands_in(script)] == ["serv", "--jsn", "--all", "--epsilom"]
    known = "farr query --json 'SELECT 1'; farr --lang zh budget"
    assert [unknown_in(words) for words in commands_in(known)] == [None, None]
    assert [unknown_in(words) for words in commands_in("farr --lang zh budgte")] == ["budgte"]
