"""The lab's parts: whose processes are whose, which folders are hospitals, what is never removed."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from farr.cli import lab as lab_command
from farr.errors import FarrError
from farr.lab import earlier, hospitals, processes, record, up, watchdog
from farr.lab.node_homes import policy_with
from farr.lab.processes import Process
from node.authority import policy as policies
from queries.agreed.catalogue_file import read_catalogue
from queries.cost.accounting import rho_of, units
from tests.farr.harbour import CATALOGUE

SLEEPER = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)


@pytest.fixture
def child():
    """Start Python code in a session of its own; killed afterwards."""
    started = []

    def start(code, **environment):
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            start_new_session=True,
            stdout=subprocess.PIPE,
            env={**os.environ, **environment},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def recorded(child, **fields):
    """Return the record of a child."""
    plain = {"name": "n", "pid": child.pid, "started": processes.started_at(child.pid), "log": ""}
    return Process(**(plain | fields))


# --- processes


def test_a_process_that_ends_when_asked_is_gone_at_once(child):
    """Stopping returns as soon as the process has ended."""
    process = recorded(child(SLEEPER))
    begun = time.monotonic()
    assert processes.alive(process)
    assert processes.stop([process], grace=120) == []
    assert not processes.alive(process)
    assert time.monotonic() - begun < 60


def test_a_process_that_will_not_end_is_killed_after_the_grace(child):
    """SIGTERM first; SIGKILL only when the grace is over."""
    stubborn = child(STUBBORN)
    stubborn.stdout.readline()
    process = recorded(stubborn)
    assert processes.stop([process], grace=0.3) == []
    assert not processes.alive(process)


def test_a_stranger_with_the_same_number_is_left_alone(child):
    """A process that took over a recorded number has another start time, and gets no signal."""
    stranger = child(SLEEPER)
    stale = recorded(stranger, started="12345")
    assert not processes.alive(stale)
    assert processes.stop([stale], grace=0.2) == []
    assert stranger.poll() is None


def test_a_process_of_the_lab_is_found_by_its_mark_although_it_was_never_recorded(child, tmp_path):
    """Whoever inherited the lab's mark belongs to it; a process of another lab does not."""
    ours = child(SLEEPER, **{processes.MARK: str(tmp_path)})
    theirs = child(SLEEPER, **{processes.MARK: str(tmp_path / "other")})
    for _ in range(3000):
        if found := processes.marked(tmp_path):
            break
        time.sleep(0.02)
    assert [process.pid for process in found] == [ours.pid]
    assert theirs.pid not in {process.pid for process in found}


def test_the_watchdog_stops_a_lab_unless_it_is_told_to_leave_it(child, tmp_path):
    """Nothing happens before the starter owns the lab, nor after it has said to leave it; in between it is stopped."""
    process = recorded(child(SLEEPER))
    record.write(record.Lab(home=tmp_path, processes=(process,)))
    watchdog.watch(tmp_path, "")
    watchdog.watch(tmp_path, watchdog.MINE + watchdog.LEAVE)
    assert processes.alive(process)
    watchdog.watch(tmp_path, watchdog.MINE)
    assert not processes.alive(process)


def test_a_watch_whose_block_fails_stops_the_lab(child, tmp_path):
    """The watchdog is a process of its own: it acts when its pipe closes."""
    process = recorded(child(SLEEPER))
    record.write(record.Lab(home=tmp_path, processes=(process,)))
    with watchdog.Watch(tmp_path):
        pass
    assert processes.alive(process)
    with watchdog.Watch(tmp_path) as watch:
        watch.arm()
        watch.release()
    assert processes.alive(process)
    with watchdog.Watch(tmp_path) as watch:
        watch.arm()
    assert not processes.alive(process)


# --- the folder


def test_a_lab_is_locked_while_a_command_works_on_it(tmp_path):
    """A second command gets an error at once, and the lock is free afterwards."""
    with record.locked(tmp_path), pytest.raises(FarrError) as error, record.locked(tmp_path):
        pass
    assert error.value.code == "busy"
    with record.locked(tmp_path):
        pass


def test_a_running_lab_is_not_started_again(child, tmp_path):
    """The error says so; the running processes are left as they are."""
    process = recorded(child(SLEEPER))
    record.write(record.Lab(home=tmp_path, processes=(process,)))
    with pytest.raises(FarrError) as error, watchdog.Watch(tmp_path) as watch:
        up.up(tmp_path, federation(tmp_path), watch)
    assert error.value.code == "lab-running"
    assert processes.alive(process)


def test_a_folder_with_other_files_is_not_touched(tmp_path):
    """A lab starts in an empty folder or its own; it never clears what it did not make."""
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "thesis.tex").write_text("x")
    with pytest.raises(FarrError) as error, watchdog.Watch(tmp_path) as watch:
        up.up(tmp_path, federation(tmp_path), watch)
    assert error.value.code == "folder-in-use"
    assert (tmp_path / "nodes" / "thesis.tex").exists()


def test_what_an_earlier_lab_left_is_kept(tmp_path):
    """A lab that begins anew in the folder deletes no model and no policy; what it moved is a lab's folder again."""
    model, policy = tmp_path / "analyst" / "runs" / "ab" / "model.json", tmp_path / "nodes" / "north" / "policy.toml"
    copy = policy.with_name("prepared-ab.duckdb")
    for times in (1, 2):
        record.write(record.Lab(home=tmp_path))
        for file in (model, policy, copy):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{file.name} {times}")
        with pytest.raises(FarrError) as error:
            up.up(tmp_path, replace(federation(tmp_path), hospitals=()), watchdog.Watch(tmp_path))
        assert error.value.code == "no-data"
        kept = tmp_path / "earlier" / str(times)
        for file in (model, policy):
            assert (kept / file.relative_to(tmp_path)).read_text() == f"{file.name} {times}"
        assert record.analyst_home(kept) == kept / "analyst"
        assert not list(kept.glob("nodes/*/prepared-*"))
    assert (tmp_path / "earlier" / "1" / "analyst").exists()


def test_a_move_that_was_cut_short_goes_on_in_the_same_folder(tmp_path, monkeypatch):
    """The lab that was half moved is whole again in one folder, and what it had is nowhere left out."""
    record.write(record.Lab(home=tmp_path))
    for name in earlier.OWN:
        (tmp_path / name).mkdir()
    renamed, rename = [], Path.rename

    def twice(path, to):
        if len(renamed) == 2:
            raise KeyboardInterrupt
        renamed.append(path)
        return rename(path, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", twice)
        with pytest.raises(KeyboardInterrupt):
            earlier.put_by(tmp_path)
    place = earlier.put_by(tmp_path)
    assert place == tmp_path / "earlier" / "1"
    assert {path.name for path in place.iterdir()} == {*earlier.OWN, record.RECORD}
    assert [path.name for path in tmp_path.iterdir()] == ["earlier"]


def test_a_running_labs_files_are_not_split_anew(child, tmp_path):
    """Its hospitals read them: the start is refused before one is written."""
    record.write(record.Lab(home=tmp_path, processes=(recorded(child(SLEEPER)),)))
    whole = tmp_path / "whole.csv"
    whole.write_text("site,n\n7,1\n")
    with pytest.raises(FarrError) as error:
        lab_command._hospitals(tmp_path, whole, "site", "stay", None)
    assert error.value.code == "lab-running"
    assert not (tmp_path / up.SPLIT).exists()


def test_a_labs_folder_stands_for_its_analysts_home(tmp_path):
    """Commands that ask questions take a lab's folder; any other folder stays what it is."""
    assert record.analyst_home(tmp_path) == tmp_path
    record.write(record.Lab(home=tmp_path))
    assert record.analyst_home(tmp_path) == tmp_path / "analyst"


def test_no_lab_no_down(tmp_path):
    """Stopping a folder that is no lab is an error, as is one whose record is damaged."""
    with pytest.raises(FarrError) as error:
        up.down(tmp_path)
    assert error.value.code == "no-lab"
    (tmp_path / record.RECORD).write_text("{")
    with pytest.raises(FarrError) as error:
        up.down(tmp_path)
    assert error.value.code == "damaged-lab"


def federation(folder):
    """Return a federation of one hospital without data."""
    hospital = hospitals.Hospital(id="one", label=hospitals.Label(en="One", zh="一"), folder=folder)
    return up.Federation(catalogue=read_catalogue(CATALOGUE, "harbour.toml"), hospitals=(hospital,))


# --- the hospitals


def hospital_folders(folder, sizes):
    """Write one table for each hospital."""
    for name, rows in sizes.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "stay.csv").write_text("sex\n" + "F\n" * rows)
    return folder


def test_each_folder_with_tables_is_a_hospital(tmp_path):
    """Sorted by name; folders without tables are none; labels and public facts come from hospitals.toml."""
    data = hospital_folders(tmp_path / "data", {"south": 1, "north": 2})
    (data / "notes").mkdir()
    (data / "hospitals.toml").write_text(
        '[north]\nlabel = { en = "North", zh = "北院" }\nattributes = { region = "N" }\n', encoding="utf-8"
    )
    found = hospitals.in_folders(data, None)
    assert [(each.id, each.label.zh, each.attributes) for each in found] == [
        ("north", "北院", {"region": "N"}),
        ("south", "south", {}),
    ]


def test_the_largest_hospitals_are_chosen_by_size(tmp_path):
    """--sites keeps those with the most data."""
    data = hospital_folders(tmp_path / "data", {"a": 1, "b": 30, "c": 20})
    assert [each.id for each in hospitals.in_folders(data, 2)] == ["b", "c"]


@pytest.mark.parametrize("folder", ["North", "a b", "-x", "北院"])
def test_a_folder_that_cannot_be_a_member_id_is_refused_with_the_remedy(tmp_path, folder):
    """The name becomes a member id; a label may be in any script."""
    with pytest.raises(FarrError, match=r"hospitals\.toml"):
        hospitals.in_folders(hospital_folders(tmp_path / "data", {folder: 1}), None)


def test_a_missing_or_empty_data_folder_is_refused(tmp_path):
    """The error says what a data folder looks like."""
    with pytest.raises(FarrError, match="folder"):
        hospitals.in_folders(tmp_path / "nowhere", None)
    with pytest.raises(FarrError, match=r"admission\.csv"):
        hospitals.in_folders(tmp_path, None)


def test_a_file_is_split_into_hospitals_without_changing_a_value(tmp_path):
    """Each value of the column becomes a hospital with exactly its rows, as text; values in any script keep a label."""
    whole = tmp_path / "whole.csv"
    whole.write_text('site,code,n\n7,007,1.50\n7,x,\n北院,"a,b",2\n,lost,3\nMain St,y,4\n', encoding="utf-8")
    found = hospitals.split(whole, "stay", "site", tmp_path / "split", None)
    by_label = {each.label.en: each for each in found}
    assert {label: each.id for label, each in by_label.items()} == {
        "7": "site-7",
        "北院": "hospital-3",
        "Main St": "main-st",
    }
    assert (by_label["7"].folder / "stay.csv").read_text(encoding="utf-8").splitlines()[1:] == ["7,007,1.50", "7,x,"]
    assert (by_label["北院"].folder / "stay.csv").read_text(encoding="utf-8").splitlines()[1:] == ['北院,"a,b",2']
    assert [each.label.en for each in hospitals.split(whole, "stay", "site", tmp_path / "most", 1)] == ["7"]
    with pytest.raises(FarrError, match="site, code, n"):
        hospitals.split(whole, "stay", "clinic", tmp_path / "none", None)


def test_a_labs_policy_is_the_default_with_another_budget():
    """Only the budgets differ, and that hospitals which come together count at once; a node accepts it."""
    default = policies.parse(policies.DEFAULT.encode(), "policy.toml")
    changed = policies.parse(policy_with(25.0).encode(), "policy.toml")
    life = units(rho_of(25.0))
    assert changed == replace(
        default,
        lifetime_units=life,
        units_per_period=life,
        purposes={"research": life, "statistics": life},
        newcomer_days=0,
        digest=changed.digest,
    )


def test_a_lab_may_answer_dearer_questions(tmp_path):
    """With --most-epsilon, without anybody's approval; a policy of one's own has its lines instead."""
    changed = policies.parse(lab_command._policy(None, None, 5.0).encode(), "policy.toml")
    usual = policies.parse(lab_command._policy(None, None).encode(), "policy.toml")
    dear = units(rho_of(5.0))
    assert changed == replace(usual, most_units_per_question=dear, approval_above_units=dear, digest=changed.digest)
    file = tmp_path / "policy.toml"
    file.write_text(policies.DEFAULT)
    assert lab_command._policy(file, None) == policies.DEFAULT
    with pytest.raises(FarrError, match="--most-epsilon"):
        lab_command._policy(file, None, 5.0)
