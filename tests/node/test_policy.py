from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.authority import policy
from node.authority.policy import PolicyError, load, parse, period_start
from node.authority.training import KEYS, MODELS
from protocols.farrsum.parameters import Trust
from queries.cost.accounting import rho_of, units
from tests.node.rig import POLICY

GOOD = parse(POLICY.encode(), "policy.toml")


def without(*beginnings):
    """Return the policy without the lines that begin so."""
    return "".join(line + "\n" for line in POLICY.splitlines() if not line.startswith(beginnings))


def with_line(key, value):
    """Return the policy with another value of a key."""
    return without(f"{key} =") + f"{key} = {value}\n"


def test_the_default_is_a_good_and_careful_policy():
    """What joining writes is complete, keeps the own row back, asks for three hospitals and lets newcomers wait."""
    allowed = parse(policy.DEFAULT.encode(), "policy.toml")
    assert allowed.lifetime_units == units(rho_of(10.0))
    assert allowed.most_units_per_question == allowed.approval_above_units == units(rho_of(1.0))
    assert allowed.units_per_period == units(rho_of(5.0))
    assert (allowed.authorities, allowed.analysts, allowed.tables, allowed.columns) == (None, None, None, None)
    assert not allowed.own_row
    assert allowed.minimum_hospitals == allowed.site_group_minimum == 3
    assert allowed.least_honest == 2
    assert allowed.trust_floor is Trust.THIRD
    assert (allowed.newcomer_days, allowed.minimum_cell, allowed.period) == (7, 10, "month")
    assert dict(allowed.purposes) == {"statistics": units(rho_of(10.0))}
    assert (allowed.finest_time, dict(allowed.finest)) == ("day", {})
    assert (allowed.training.models, allowed.training.networks, allowed.training.apps) == (
        tuple(sorted(MODELS)),
        (),
        (),
    )
    assert (allowed.training.unsandboxed_apps, allowed.training.unsandboxed_reason) == (False, "")
    assert not allowed.holds()
    assert allowed.digest == hashlib.sha256(policy.DEFAULT.encode()).digest()


@pytest.mark.parametrize("key", policy.KEYS)
def test_every_key_is_needed(key):
    """Without any one of its keys the policy answers nothing, and says which."""
    with pytest.raises(PolicyError) as refused:
        parse(without(f"{key}.", f"{key} =").encode(), "policy.toml")
    assert refused.value.key == key


@pytest.mark.parametrize("key", KEYS)
def test_every_key_of_training_is_needed(key):
    """Where the table is, nothing in it has a default."""
    with pytest.raises(PolicyError) as refused:
        parse(without(f"training.{key} =").encode(), "policy.toml")
    assert refused.value.key == f"training.{key}"


def test_a_policy_from_before_training_trains_nothing():
    """The table may be missing, so that a policy from before it answers as ever; nothing is trained then."""
    old = parse(without("training.").encode(), "policy.toml")
    assert old.training is None
    assert replace(old, training=GOOD.training, digest=GOOD.digest) == GOOD


def test_what_may_be_trained_is_read_as_it_is_written():
    """All, none, or a list: of models by name, of networks and apps by digest; a missing sandbox with its reason."""
    nothing = with_line("training.models", '"none"').replace('networks = "all"', 'networks = "none"')
    assert (GOOD.training.models, GOOD.training.networks, GOOD.training.apps) == (None, None, ())
    closed = parse(nothing.encode(), "policy.toml").training
    assert (closed.models, closed.networks) == ((), ())
    text = POLICY.replace('models = "all"', 'models = ["poisson", "cox"]').replace(
        "apps = []", f'apps = ["{"ab" * 32}"]'
    )
    text = text.replace("apps = false", "apps = true").replace('reason = ""', 'reason = "no namespaces here"')
    some = parse(text.encode(), "policy.toml").training
    assert (some.models, some.apps) == (("cox", "poisson"), (b"\xab" * 32,))
    assert (some.unsandboxed_apps, some.unsandboxed_reason) == (True, "no namespaces here")


WRONG = {
    "empty": ("", "authorities"),
    "not toml": ("lifetime_epsilon = = 3", ""),
    "not utf-8": (b"\xff\xfe", ""),
    "a date that is none": ("day = 2026-99-99", ""),
    "a number without end": ("number = " + "9" * 10_000, ""),
    "deep": ("list = " + "[" * 5_000, ""),
    "unknown key": (POLICY + "\nminimun_hospitals = 3", "minimun_hospitals"),
    "text for a number": (with_line("lifetime_epsilon", '"10"'), "lifetime_epsilon"),
    "truth for a number": (with_line("lifetime_epsilon", "true"), "lifetime_epsilon"),
    "negative": (with_line("lifetime_epsilon", "-1"), "lifetime_epsilon"),
    "nothing": (with_line("lifetime_epsilon", "0"), "lifetime_epsilon"),
    "infinite": (with_line("lifetime_epsilon", "inf"), "lifetime_epsilon"),
    "beyond floats": (with_line("lifetime_epsilon", "1" + "0" * 400), "lifetime_epsilon"),
    "not a number": (with_line("most_epsilon_per_question", "nan"), "most_epsilon_per_question"),
    "number for a truth": (with_line("own_row", "1"), "own_row"),
    "one table as text": (with_line("tables", '"stay"'), "tables"),
    "numbers as tables": (with_line("tables", "[1]"), "tables"),
    "a column without its table": (with_line("columns", '["sex"]'), "columns"),
    "an authority that is none": (with_line("authorities", '["nation", "me"]'), "authorities"),
    "an auditor who asks": (with_line("authorities", '["auditor"]'), "authorities"),
    "nobody in a word": (with_line("analysts", '"none"'), "analysts"),
    "no hospitals": (with_line("minimum_hospitals", "0"), "minimum_hospitals"),
    "no honest hospitals": (with_line("least_honest", "0"), "least_honest"),
    "a cell below zero": (with_line("minimum_cell", "-1"), "minimum_cell"),
    "newcomers before their time": (with_line("newcomer_days", "-1"), "newcomer_days"),
    "half a day": (with_line("newcomer_days", "0.5"), "newcomer_days"),
    "unknown trust": (with_line("trust_floor", '"third"'), "trust_floor"),
    "no text for trust": (with_line("trust_floor", "3"), "trust_floor"),
    "a period that is none": (with_line("period", '"decade"'), "period"),
    "a purpose as text": (with_line("approval_purposes", '"research"'), "approval_purposes"),
    "purposes as a list": (without("purposes.") + 'purposes = ["test"]', "purposes"),
    "a purpose that is no name": (POLICY + '\npurposes."To know" = 1.0', "purposes.To know"),
    "a purpose without a number": (with_line("purposes.research", '"all"'), "purposes.research"),
    "too many purposes": (POLICY + "".join(f"\npurposes.p{number} = 1.0" for number in range(64)), "purposes"),
    "no finest time": (without("finest.time") + 'finest.region = "province"', "finest.time"),
    "an hour": (with_line("finest.time", '"hour"'), "finest.time"),
    "a level that is no text": (POLICY + "\nfinest.region = 2", "finest.region"),
    "training as text": (without("training.") + 'training = "all"', "training"),
    "a model that is none": (with_line("training.models", '["logistic", "tree"]'), "training.models"),
    "a model as text": (with_line("training.models", '"logistic"'), "training.models"),
    "a network by its name": (with_line("training.networks", '["mine"]'), "training.networks"),
    "a network in capitals": (with_line("training.networks", f'["{"AB" * 32}"]'), "training.networks"),
    "half a digest": (with_line("training.apps", f'["{"ab" * 16}"]'), "training.apps"),
    "all apps": (with_line("training.apps", '"all"'), "training.apps"),
    "an app twice": (with_line("training.apps", f'["{"ab" * 32}", "{"ab" * 32}"]'), "training.apps"),
    "numbers as apps": (with_line("training.apps", "[1]"), "training.apps"),
    "no sandbox in a word": (with_line("training.unsandboxed_apps", '"no"'), "training.unsandboxed_apps"),
    "no sandbox without a reason": (with_line("training.unsandboxed_apps", "true"), "training.unsandboxed_reason"),
    "a reason of two lines": (with_line("training.unsandboxed_reason", '"a\\nb"'), "training.unsandboxed_reason"),
    "a reason that is no text": (with_line("training.unsandboxed_reason", "1"), "training.unsandboxed_reason"),
    "no time for an app": (with_line("training.most_app_minutes", "0"), "training.most_app_minutes"),
    "no memory for an app": (with_line("training.most_app_megabytes", "0"), "training.most_app_megabytes"),
    "an unknown key of training": (POLICY + "\ntraining.model = 1", "training.model"),
    "too long": (POLICY + "#" * policy.MOST_BYTES, ""),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_policy_answers_nothing(tmp_path, what):
    """Anything but a complete and correct file is refused with the file, the key and what to write."""
    text, key = WRONG[what]
    path = tmp_path / policy.FILE
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PolicyError) as refused:
        load(path)
    assert refused.value.file == "policy.toml"
    assert refused.value.key == key
    assert refused.value.remedy


def test_a_missing_policy_answers_nothing(tmp_path):
    """No file, or something that is no file, is not a policy."""
    for path in (tmp_path / policy.FILE, tmp_path):
        with pytest.raises(PolicyError):
            load(path)


def test_a_change_holds_from_the_next_question_on(tmp_path):
    """The file is read for each question."""
    path = tmp_path / policy.FILE
    path.write_text(POLICY)
    assert load(path).minimum_hospitals == 3
    path.write_text(POLICY.replace("minimum_hospitals = 3", "minimum_hospitals = 9"))
    assert load(path).minimum_hospitals == 9


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_whatever_a_policy_file_holds_only_its_own_error_comes_out(source):
    """A parser that faces a file never fails in a way of its own."""
    with contextlib.suppress(PolicyError):
        parse(source, "policy.toml")


@given(
    st.sampled_from((*policy.KEYS, *(f"training.{key}" for key in KEYS))),
    st.sampled_from(("1e400", "{}", "[]", "1979-05-27", "'x'", "[[1]]", "-0.0", "nan")),
)
def test_whatever_a_key_holds_only_its_own_error_comes_out(key, value):
    """Any kind of value where another is due is refused, or is one that the key takes."""
    with contextlib.suppress(PolicyError):
        parse((without(f"{key}.", f"{key} =") + f"\n{key} = {value}\n").encode(), "policy.toml")


def test_what_waits_for_a_person_is_known_beforehand():
    """A node says that it holds requests where a purpose or a price that it allows would wait."""
    assert not GOOD.holds()
    assert parse(with_line("approval_purposes", '["research"]').encode(), "policy.toml").holds()
    assert parse(with_line("approval_purposes", '"all"').encode(), "policy.toml").holds()
    assert parse(with_line("approval_above_epsilon", "1.0").encode(), "policy.toml").holds()
    assert not parse(with_line("approval_above_epsilon", "2.0").encode(), "policy.toml").holds()


STARTS = {
    "day": "2026-08-20",
    "week": "2026-08-17",
    "month": "2026-08-01",
    "quarter": "2026-07-01",
    "year": "2026-01-01",
}


@pytest.mark.parametrize("period", policy.PERIODS)
def test_a_period_begins_where_the_calendar_says(period):
    """In UTC, at midnight; its first second is in it, and the second before is not."""
    now = int(datetime(2026, 8, 20, 23, 59, 59, tzinfo=UTC).timestamp())
    start = int(datetime.fromisoformat(STARTS[period]).replace(tzinfo=UTC).timestamp())
    assert period_start(period, now) == period_start(period, start) == start
    assert period_start(period, start - 1) < start
    assert parse(with_line("period", f'"{period}"').encode(), "policy.toml").period_start(now) == start


@pytest.mark.parametrize("period", policy.PERIODS)
@pytest.mark.parametrize("hours", [-11, 0, 8, 12])
def test_periods_follow_each_other_by_the_hospitals_clocks(period, hours):
    """A period begins at their midnight, and the next begins where it ends."""
    allowed = parse((f'utc_offset = "{hours:+03}:00"\n' + with_line("period", f'"{period}"')).encode(), "policy.toml")
    clocks = timezone(timedelta(hours=hours))
    for day in range(400):
        now = int(datetime(2027, 12, 1, 15, tzinfo=clocks).timestamp()) + day * 24 * 3600
        start, end = allowed.period_start(now), allowed.period_end(now)
        assert start <= now < end
        assert allowed.period_start(end - 1) == start
        assert allowed.period_start(end) == end
        assert datetime.fromtimestamp(start, clocks).strftime("%H:%M:%S") == "00:00:00"


@pytest.mark.parametrize(
    "wrong", ['"Asia/Shanghai"', '"+8"', '"+08:60"', '"+12:01"', '"-12:00"', '"+٠٨:00"', "8", "[]"]
)
def test_an_unknown_time_is_refused(wrong):
    """Only an offset within half a day is read, so that no list of zones is needed; of anything else nothing is."""
    with pytest.raises(PolicyError, match="utc_offset: is no time from"):
        parse(f"utc_offset = {wrong}\n{POLICY}".encode(), "policy.toml")
    assert GOOD.utc_offset == 0
