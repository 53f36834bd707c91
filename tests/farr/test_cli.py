"""The command line: quick to start, exit codes that scripts rely on, errors that point, tables that line up."""

import getpass
import json
import os
import re
import subprocess
import sys
import time

import pytest
from rich.cells import cell_len

import farr
from farr import texts
from farr.cli import figures, lab, main, node_records
from farr.errors import FarrError
from farr.hospital import nodes
from farr.membership import home as homes
from farr.questions.periods import period_of
from farr.questions.states import read as read_state
from protocols.wire_pb2 import RequestStatus, SiteProgress, State
from queries.answers.answer import Estimate
from tests.farr import harbour

BY_SEX = "SELECT sex AS 性别, COUNT(*) AS 人数 FROM stay GROUP BY sex"
HEAVY = ("pandas", "grpc", "sqlglot", "duckdb", "ibis", "numpy", "opendp", "cryptography", "pyarrow")


@pytest.fixture(autouse=True)
def english_afterwards(monkeypatch):
    """Leave the process speaking English."""
    monkeypatch.setenv("LANGUAGE", "en")
    yield
    texts.use("en")


@pytest.fixture
def quay():
    """A coordinator."""
    return harbour.Quay()


@pytest.fixture
def run(capsys, monkeypatch, tmp_path, quay):
    """Run a command as the harbour's analyst; return exit code, output, errors."""
    federation = harbour.federation(tmp_path / "home", quay)
    monkeypatch.setattr(farr, "connect", lambda _home=None: federation)

    def command(*arguments, **environment):
        code = main.main(list(arguments), environment)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def farr_command(*arguments, **options):
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "farr", *arguments], capture_output=True, text=True, check=False, timeout=60, **options
    )


# --- start-up


def test_help_starts_about_as_quickly_as_the_library_that_prints_it():
    """The best of three starts of `farr --help` takes under twice what it takes to load typer and its help printer.

    That is a quarter of a second on an idle machine, and the same multiple on one that tests keep busy.
    """
    ours, library = [], []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import typer, typer.rich_utils"], check=True)
        library.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        assert farr_command("--help").returncode == 0
        ours.append(time.perf_counter() - begun)
    assert min(ours) < 2 * min(library)


@pytest.mark.parametrize(
    "command", [["--help"], ["query", "--help"], ["node", "serve", "--help"], ["lab", "up", "--help"]]
)
def test_help_imports_nothing_heavy(command):
    """Help of any command loads no engine, no gRPC, no pandas."""
    code = (
        "import sys; from farr.cli.main import main; main(sys.argv[1:], {});"
        f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True).stdout
    assert "heavy: []" in shown


def test_a_question_loads_no_node_and_no_coordinator():
    """`farr query` does not pay for the engine or the services: they are other commands."""
    code = (
        "import sys, farr.cli.query, farr.client;"
        "print([name for name in ('node', 'coordinator', 'duckdb', 'ibis', 'pandas', 'opendp') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def every_command(group, context, path=()):
    """Yield the path and the command of every leaf."""
    import click

    for name in group.list_commands(context):
        command = group.commands[name]
        if isinstance(command, click.Group):
            yield from every_command(command, context, (*path, name))
        else:
            yield (*path, name), command


def test_every_command_explains_itself():
    """Each command has a help text, each option too; those that print data have --json."""
    import click
    import typer.main

    root = typer.main.get_command(main.app)
    found = dict(every_command(root, click.Context(root)))
    assert {("query",), ("lab", "up"), ("demo",), ("requests", "wait"), ("node", "serve")} <= found.keys()
    for path, command in found.items():
        assert command.help, path
        assert [each.name for each in command.params if each.param_type_name == "option" and not each.help] == [], path
        if path != ("demo",):
            assert any("--json" in each.opts for each in command.params), path


# --- exit codes and errors


def test_a_usage_error_is_2_a_refusal_1_and_success_0(run):
    """Scripts can tell a mistyped command from a refused question."""
    assert run("query", BY_SEX)[0] == 0
    assert run("query")[0] == 2
    assert run("nonsense")[0] == 2
    assert run("query", "--epsilon", "much", BY_SEX)[0] == 2
    assert run("--lang", "xx", "budget")[0] == 2
    assert run("query", "SELECT 1")[0] == 1


@pytest.mark.parametrize("data", [(), ("--data", "d", "d.csv"), ("d.csv",)])
def test_a_labs_data_are_named_once(run, data):
    """Not at all, twice, or a file that is not to be split: a usage error before anything is read."""
    code, _out, err = run("lab", "up", "--home", "h", "--catalogue", "none.toml", *data)
    assert code == 2
    assert "--split-by COLUMN and a file" in err


def test_a_file_to_split_may_be_the_argument(run):
    """With --split-by it is taken; what stops this start is the catalogue, which is read next."""
    code, _out, err = run("lab", "up", "--home", "h", "--catalogue", "none.toml", "--split-by", "site", "d.csv")
    assert code == 1
    assert "none.toml" in err


def test_a_flag_comes_before_the_environment_the_file_and_the_default(run, tmp_path, monkeypatch):
    """Each source of a node's setting counts only where none before it speaks."""
    seen = []
    monkeypatch.setattr(homes, "is_joined", lambda _home: True)
    monkeypatch.setattr(nodes, "findings", lambda _home, source: seen.append(source.memory_limit) or ())
    lines = f'data = "{tmp_path}"\n'
    for written, environment, flag in (
        (lines, "", ()),
        (lines + 'memory_limit = "3MB"\n', "", ()),
        (lines + 'memory_limit = "3MB"\n', "2MB", ()),
        (lines + 'memory_limit = "3MB"\n', "2MB", ("--memory-limit", "1MB")),
    ):
        (tmp_path / "node.toml").write_text(written)
        monkeypatch.setenv("FARR_MEMORY_LIMIT", environment)
        assert run("node", "check", "--home", str(tmp_path), *flag)[0] == 0
    assert seen == ["512MB", "3MB", "2MB", "1MB"]


def test_a_refusal_points_at_the_place_and_says_what_to_do(run):
    """On standard error: what, where with a caret, what to do. Nothing on standard output."""
    code, out, err = run("query", "SELECT patient_id FROM stay")
    assert (code, out) == (1, "")
    line, carets = err.splitlines()[1:3]
    assert line.strip() == "SELECT patient_id FROM stay"
    assert line[carets.index("^") : carets.rindex("^") + 1] == "patient_id"
    assert "COUNT(DISTINCT patient_id)" in err


def test_errors_are_json_for_scripts(run):
    """With --json, one object with code, message and remedy on standard output, and nothing else anywhere."""
    code, out, err = run("query", "--json", "SELECT patient_id FROM stay")
    assert (code, err) == (1, "")
    error = json.loads(out)["error"]
    assert (error["code"], error["start"], error["end"]) == ("statement", 7, 17)
    assert error["message"]
    assert error["remedy"]
    code, out, _err = run("query", "--json")
    assert (code, json.loads(out)["error"]["code"]) == (2, "usage")


def test_an_unexpected_error_is_not_hidden(run, monkeypatch):
    """A defect shows its traceback instead of a polite sentence."""
    monkeypatch.setattr(farr, "connect", lambda _home=None: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("budget")


def test_a_catalogue_is_checked_without_a_federation(run, tmp_path):
    """A good file is described; an error names file and key."""
    file = tmp_path / "harbour.toml"
    file.write_bytes(harbour.CATALOGUE)
    code, out, _err = run("catalogue", "check", str(file))
    assert (code, "stay" in out) == (0, True)
    file.write_bytes(harbour.CATALOGUE.replace(b"rows_per_patient = 2", b""))
    code, out, _err = run("catalogue", "check", str(file), "--json")
    error = json.loads(out)["error"]
    assert (code, error["file"], error["key"]) == (1, "harbour.toml", "tables.stay.rows_per_patient")
    assert run("catalogue", "check", str(tmp_path / "none.toml"))[0] == 1


# --- questions


def test_json_prints_one_object_with_chinese_as_it_is(run):
    """The contract's keys, and no escape sequences."""
    code, out, err = run("query", "--json", BY_SEX)
    assert (code, err) == (0, "")
    assert json.loads(out)["rows"][0].keys() == {"性别", "人数", "人数_low", "人数_high"}
    assert "性别" in out


def test_a_table_lines_up_with_wide_characters(run):
    """Every line of the table is as wide as its rule on the screen, although Chinese takes two cells."""
    _code, out, _err = run("query", BY_SEX, "--lang", "zh")
    lines = out.splitlines()
    rule = next(index for index, line in enumerate(lines) if line.startswith("──"))
    table = [lines[rule - 1], *lines[rule + 1 : rule + 3]]
    assert {cell_len(line.rstrip()) for line in table} == {cell_len(lines[rule].rstrip())}
    assert "女" in table[1]
    assert "±" in table[1]


def test_a_dry_run_asks_nothing(run, quay):
    """Cost, expected error, hospitals and what is left; no request leaves."""
    code, out, _err = run("query", "--dry-run", "--json", "--within", "5%", "--expect", "2000", BY_SEX)
    plain = json.loads(out)
    assert code == 0
    assert plain["half_width"]["人数"] == pytest.approx(100, rel=0.01)
    assert plain["sites"]["needed"] == 4
    assert plain["cost"]["epsilon"] > 0
    assert plain["too_little_left"] == []
    assert run("query", "--dry-run", BY_SEX)[0] == 0
    assert quay.submitted == []


def test_a_dry_run_says_which_hospitals_have_too_little_left(run, quay):
    """A hospital whose budget does not cover the question is named before anything is asked."""
    poor = harbour.description(spent=harbour.LIFETIME - 1)
    quay.describe = lambda: poor
    _code, out, _err = run("query", "--dry-run", "--json", BY_SEX)
    assert json.loads(out)["too_little_left"] == list(harbour.SITES)


def test_progress_is_silent_for_scripts_and_can_be_asked_for(run):
    """Nothing on standard error where that is no terminal, unless --progress is given."""
    assert run("query", BY_SEX)[2] == ""
    assert "5 of 5 hospitals answered" in run("query", "--fresh", "--progress", "--json", BY_SEX)[2]


def test_an_answer_is_written_for_spreadsheets(run, tmp_path):
    """--export writes the file beside what is printed, --plot the picture."""
    code, out, _err = run("query", BY_SEX, "--export", str(tmp_path / "a.csv"), "--plot", str(tmp_path / "a.png"))
    assert code == 0
    assert "人数" in out
    assert (tmp_path / "a.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("option", "name"), [("--export", "a.doc"), ("--plot", "a.gif"), ("--plot", "none/a.png")])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_asked(run, quay, tmp_path, option, name):
    """The ending and the folder are looked at first, so no budget is spent on an answer without its file."""
    assert run("query", BY_SEX, option, str(tmp_path / name))[0] == 1
    assert quay.submitted == []


def test_alarms_that_no_answer_could_have_are_refused_before_anything_is_asked(run, quay):
    """Alarms on an answer by sex say what to group by, and cost nothing."""
    code, out, err = run("query", BY_SEX, "--alarms", "ears-c2")
    assert (code, out, quay.submitted) == (1, "", [])
    assert "WEEK" in err


def test_requests_and_releases_are_listed_shown_waited_for_and_cancelled(run):
    """A question that is not waited for is found again by the beginning of its id."""
    _code, out, _err = run("query", "--no-wait", BY_SEX)
    identifier = out.strip()
    assert json.loads(run("requests", "list", "--json")[1])[0]["id"] == identifier
    assert identifier[:8] in run("requests", "list")[1]
    assert "aden" in run("requests", "show", identifier[:8])[1]
    assert json.loads(run("requests", "wait", identifier, "--json")[1])["release"]["id"] == identifier
    assert json.loads(run("releases", "list", "--json")[1])[0]["id"] == identifier
    assert BY_SEX in run("releases", "show", identifier[:8])[1]
    assert json.loads(run("requests", "cancel", identifier, "--json")[1])["state"] == "cancelled"
    assert run("requests", "show", "ffff")[0] == 1


def test_only_the_newest_requests_are_listed_unless_more_are_wanted(run):
    """Fifty, or as many as are said, and a word on standard error that there are older ones; by state, too."""
    asked = [run("query", "--no-wait", BY_SEX)[1].strip() for _ in range(3)]
    _code, out, err = run("requests", "list", "--limit", "2", "--json")
    assert [each["id"] for each in json.loads(out)] == asked[:0:-1]
    assert "newest 2" in err
    _code, out, err = run("requests", "list", "--limit", "3", "--json")
    assert ([each["id"] for each in json.loads(out)], err) == (asked[::-1], "")
    run("requests", "cancel", asked[1])
    _code, out, err = run("requests", "list", "--all", "--state", "cancelled", "--state", "failed", "--json")
    assert ([each["id"] for each in json.loads(out)], err) == ([asked[1]], "")
    assert run("requests", "list", "--state", "lost")[0] == 2


def test_budgets_are_shown_in_epsilons(run):
    """By hospital: for life and left."""
    budgets = json.loads(run("budget", "--json")[1])
    assert [each["site"] for each in budgets] == list(harbour.SITES)
    assert budgets[0]["remaining"]["units"] == harbour.LIFETIME
    assert "aden" in run("budget")[1]


# --- languages


def test_the_language_can_be_chosen_anywhere_on_the_line(run):
    """--lang before or after the command, and FARR_LANG, give the same."""
    english = run("budget")[1]
    before = run("--lang", "zh", "budget")[1]
    assert before != english
    assert before == run("budget", "--lang=zh")[1] == run("budget", FARR_LANG="zh")[1]
    assert run("budget", FARR_LANG="zh", LANG="C")[1] == before
    assert run("--lang", "en", "budget", FARR_LANG="zh")[1] == english


def test_an_argument_after_two_dashes_is_not_an_option(run):
    """A statement may contain what looks like an option."""
    code, _out, err = run("query", "--", "--lang")
    assert (code, "--lang" in err) == (1, True)


# --- figures


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        (1234.0, 1190.0, 1278.0, "1,234 ± 44"),
        (0.5321, 0.5011, 0.5631, "0.532 ± 0.031"),
        (-3.0, -40.0, 34.0, "-3 ± 37"),
        (-0.2, -40.0, 39.6, "0 ± 40"),
        (21.0, 10.0, 40.0, "21 (10 to 40)"),
        (None, None, None, "undefined"),
        (7.0, 7.0, 7.0, "7 ± 0"),
        (28.0, 27.0, 29.0, "28 ± 1"),
        (3.0, 3.0, 4.0, "3 (3 to 4)"),
    ],
)
def test_figures_show_the_digits_that_the_noise_leaves(value, low, high, shown):
    """Two digits of the half-width, the same places in the value; both ends where the interval is lopsided."""
    if shown == "7 ± 0":
        shown = "7"
    assert figures.figures([Estimate(value=value, low=low, high=high, flags=())]) == [shown]


@pytest.mark.parametrize(("value", "flags", "shown"), [
    (106.0, ("unreliable",), "106 (unbounded) !"), (12.0, (), "12"), (332.9, (), "333"), (0.0005, (), "0.000500"),
])  # fmt: skip
def test_a_figure_of_a_test_has_no_interval_and_says_nothing_of_one(value, flags, shown):
    """A chi-square, its degrees of freedom and its p-value stand alone; what noise made unbounded says so."""
    assert figures.figures([Estimate(value=value, low=None, high=None, flags=flags)]) == [shown]


def test_every_flag_has_a_mark():
    """No flag of an answer is dropped on its way to a person."""
    from queries.answers.answer import FLAGS

    assert FLAGS.keys() == figures.MARKS.keys()


def test_those_who_are_waited_for_are_named_after_a_while():
    """At first only the count; after two seconds the hospitals that have not answered."""
    from farr.cli.waiting import Waiting

    status = RequestStatus(
        id=bytes(16), state=State.STATE_RUNNING, asked=3, answered=1, needed=2,
        sites=[SiteProgress(site="aden", state="answered"), SiteProgress(site="brest", state="asked")],
    )  # fmt: skip
    waiting = Waiting(wanted=False, as_json=False)
    assert waiting._text(read_state(status)) == "1 of 3 hospitals answered"
    waiting._begun -= 3
    assert waiting._text(read_state(status)) == "1 of 3 hospitals answered (waiting for brest)"


def test_the_names_appear_although_nothing_changes(monkeypatch, capsys):
    """A hospital that hangs sends nothing; after the while its name is shown all the same, and only while waiting."""
    from farr.cli import waiting as module

    monkeypatch.setattr(module, "NAMES_AFTER", 0.1)
    status = RequestStatus(
        id=bytes(16), state=State.STATE_RUNNING, asked=1, sites=[SiteProgress(site="brest", state="asked")]
    )
    with module.Waiting(wanted=True, as_json=False) as waiting:
        waiting.told(read_state(status))
        time.sleep(0.4)
    assert capsys.readouterr().err.splitlines()[-1] == "0 of 1 hospitals answered (waiting for brest)"
    assert not waiting._reminder.is_alive()


def test_errors_for_people_keep_brackets_as_they_are(run, monkeypatch):
    """Text in square brackets is text, not markup."""

    def refuse(home=None):
        raise FarrError("odd", "a [bold]bracket[/bold]", remedy="[x]")

    monkeypatch.setattr(farr, "connect", refuse)
    err = run("budget")[2]
    assert re.search(r"a \[bold\]bracket\[/bold\]", err)
    assert "[x]" in err


def test_an_interrupted_wait_says_how_to_go_on(run, quay):
    """Ctrl-C while waiting ends with 130 and names the request, which goes on."""

    def interrupted(request, timeout):
        quay.statuses[request].state = State.STATE_RUNNING
        yield quay.statuses[request]
        raise KeyboardInterrupt

    quay.watch = interrupted
    code, out, err = run("query", BY_SEX)
    assert (code, out) == (130, "")
    assert quay.submitted[-1].id.hex()[:8] in err


def test_lines_are_not_broken_for_scripts(run, quay):
    """Where the output is no terminal, a long line stays one line."""
    statement = "SELECT COUNT(*) AS n FROM stay WHERE " + " OR ".join(f"age = {age}" for age in range(60))
    identifier = run("query", "--no-wait", statement)[1].strip()
    assert statement in run("requests", "show", identifier)[1].splitlines()


def test_a_terminal_without_the_signs_gets_the_answer_all_the_same():
    """What was paid for is printed, with question marks; a full disk is told, with the code of a failure."""
    shown = farr_command("--lang", "zh", "budget", "--help", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (shown.returncode, shown.stderr) == (0, "")
    with open("/dev/full", "w") as full:  # noqa: PTH123
        failed = subprocess.run(
            [sys.executable, "-m", "farr", "node", "policy", "default"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (failed.returncode, b"No space left" in failed.stderr, b"ignored" in failed.stderr) == (1, True, False)


def test_what_is_no_text_is_refused_in_words(run):
    """Bytes of another encoding in an argument are a usage error, in a statement a refusal; nothing is asked."""
    question = "SELECT sex, COUNT(*) AS n FROM stay GROUP BY sex"
    assert run("query", "--reason", "\udcff", question)[0] == 2
    code, out, _err = run("query", "--json", f"{question} -- \udcff")
    assert (code, json.loads(out)["error"]["code"]) == (1, "statement")


def test_files_of_another_encoding_are_named(run, tmp_path):
    """A token or a policy that a Windows shell wrote as UTF-16 is called what it is."""
    file = tmp_path / "wide"
    file.write_bytes("farr1.abc".encode("utf-16"))
    assert "not a whole join token" in run("join", "--home", str(tmp_path / "h"), "--token-file", str(file))[2]
    with pytest.raises(FarrError, match="UTF-8"):
        lab._policy(file, None)
    with pytest.raises(FarrError, match="lifetime_epsilon"):
        lab._policy(None, 0.0)


def test_the_calendars_last_week_is_no_crash():
    """It ends in a year that has five digits."""
    with pytest.raises(FarrError, match="not a period"):
        period_of("9999-W52")


def test_a_container_whose_user_has_no_name_is_somebody(monkeypatch):
    """Every command that keeps who decided takes the number then."""
    monkeypatch.setattr(getpass, "getuser", lambda: {}["uid"])
    assert node_records.operator("") == f"uid {os.getuid()}"
    assert node_records.operator("ann") == "ann"
