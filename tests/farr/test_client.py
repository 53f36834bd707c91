"""The client: what it asks, what it verifies before it believes, and the forms of an answer."""

import csv
import io
import json
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from farr import connect, federation
from farr.errors import FarrError
from farr.questions import opening
from farr.questions.asking import Terms, half_widths, settings
from farr.questions.states import failure
from farr.questions.states import read as read_state
from protocols import release as releases
from protocols import request as requests
from protocols import roster as rosters
from protocols.errors import Rejected
from protocols.farrsum.parameters import Trust
from protocols.wire_pb2 import Note, RequestStatus, SiteProgress, State
from queries.asked.build import count
from queries.cost.accounting import rho_of, rho_of_units, units
from queries.cost.measurement import calibrate
from queries.cost.sensitivity import of_tally
from queries.cost.tally import tally
from queries.errors import StatementError
from tests.farr import harbour

BY_SEX = "SELECT sex AS 性别, COUNT(*) AS 人数 FROM stay GROUP BY sex"
NORTH = "SELECT COUNT(*) AS n FROM stay WHERE site.region = 'N'"
SHARE = "SELECT 100.0 * COUNT(*) FILTER (WHERE sex = 'F') / COUNT(*) AS share FROM stay"


@pytest.fixture
def quay():
    """A coordinator."""
    return harbour.Quay()


@pytest.fixture
def asked(tmp_path, quay):
    """A client connected to it."""
    return harbour.federation(tmp_path / "home", quay)


@pytest.fixture
def signed(asked, quay):
    """A request that the client signed, and what it said."""
    kept = []

    def keep(message):
        kept.append(message)
        return harbour.answer(message)

    quay.serve = keep
    asked.ask(BY_SEX)
    return kept[0]


# --- members and catalogue


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (harbour.description(signer="coordinator"), "bad-signature"),
        (harbour.description(harbour.roster(version=2)), "stale-roster"),
        (harbour.description(replace(harbour.roster(), federation="other")), "bad-signature"),
        (harbour.description(catalogue=harbour.CATALOGUE + b"\n"), "wrong-catalogue"),
        (harbour.description(protocol=99), "protocol-version"),
    ],
)
def test_a_roster_that_the_registrar_did_not_sign_is_refused(tmp_path, said, code):
    """Neither a forged, older or foreign roster nor another catalogue or protocol is taken from a coordinator."""
    held = harbour.home(tmp_path / "home")
    with pytest.raises(Rejected) as refusal:
        federation.read(said, held, tmp_path / "home")
    assert refusal.value.code == code


def test_a_newer_roster_is_kept_in_the_home(tmp_path):
    """What the registrar signed later replaces the held roster, so an older one is refused from then on."""
    folder = tmp_path / "home"
    held = harbour.home(folder)
    federation.read(harbour.description(harbour.roster(version=7)), held, folder)
    kept = (folder / "roster.bin").read_bytes()
    newest = rosters.read(
        type(held.roster).FromString(kept), federation="harbour", registrar_key=harbour.key("registrar").public
    )
    assert newest.version == 7


# --- the answer and its forms


def test_sql_gives_a_frame_with_intervals_and_metadata(asked):
    """A statement gives a DataFrame with x, x_low, x_high; everything else is JSON in its attributes."""
    frame = asked.sql(BY_SEX, epsilon=1.0)
    assert list(frame.columns) == ["性别", "人数", "人数_low", "人数_high"]
    assert list(frame["人数"]) == [100.0, 100.0]
    assert (frame["人数_low"] < 100).all()
    assert (frame["人数_high"] > 100).all()
    facts = json.loads(json.dumps(frame.attrs["farr"], allow_nan=False))
    privacy = facts["privacy"]
    assert (privacy["masks"], privacy["trust"], privacy["rows_per_patient"]) == ("farrsum", "one-third", 2)
    assert (privacy["m"], privacy["c"], privacy["h"], privacy["contributors"]) == (4, 1, 3, 5)
    assert facts["sites"]["names"] == list(harbour.SITES)
    assert facts["privacy"]["epsilon"] == pytest.approx(1.0, abs=1e-3)


def test_the_plain_form_is_the_contract_of_json(asked):
    """One object: columns, rows, flags, privacy, sites, release, cost, remaining; Chinese names as they were typed."""
    plain = asked.ask(BY_SEX).to_plain()
    contract = {"columns", "rows", "flags", "privacy", "sites", "release", "cost", "remaining"}
    assert contract <= plain.keys()
    assert plain["rows"][0].keys() == {"性别", "人数", "人数_low", "人数_high"}
    assert {"id", "digest"} <= plain["release"].keys()
    named = {"rho", "epsilon", "delta", "unit", "mechanism", "trust", "m", "c", "h", "masks", "noise_sd"}
    assert named <= plain["privacy"].keys()
    assert plain["remaining"].keys() == set(harbour.SITES)


def test_what_a_higher_minimum_saves_is_foreseen(asked):
    """A dry run knows that a question that bears no absence has one more honest share, hence a smaller error."""
    usual, strict = (asked.estimate(BY_SEX, Terms(minimum=minimum)) for minimum in (None, 5))
    assert (usual.sharing.honest, strict.sharing.honest) == (3, 4)
    assert strict.measurement.blocks[0].variance(5) < usual.measurement.blocks[0].variance(5)


@pytest.mark.parametrize(("silent", "contributors"), [((), 5), (("elba",), 4)])
@pytest.mark.parametrize(("trust", "shared"), [(Trust.THIRD, 3), (Trust.NONE, 4)])
def test_the_noise_that_is_stated_is_that_of_all_in_the_sum(asked, quay, silent, contributors, trust, shared):
    """The error is sqrt(contributors / h) times that of one central draw at the same price; m, c and h are stated."""
    quay.serve = lambda message: harbour.answer(message, silent=silent)
    result = asked.ask(BY_SEX, Terms(trust=trust))
    layout = tally(opening.decode(opening.Plan, quay.submitted[0].plan), asked.catalogue)
    price = rho_of_units(quay.submitted[0].rho_units)
    central = calibrate(layout, of_tally(layout, asked.catalogue.sites_per_patient), price, 1)
    one = float(central.blocks[0].variance(1)) ** 0.5
    expected = (contributors / shared) ** 0.5
    assert (result.privacy.honest, result.privacy.contributors) == (shared, contributors)
    assert result.privacy.over_central == pytest.approx(expected)
    assert result.privacy.noise_sd["人数"] == pytest.approx(expected * one, rel=0.01)
    low, high = result.figures("人数")[0].low, result.figures("人数")[0].high
    assert high - low == pytest.approx(2 * 1.959964 * expected * one, rel=0.01)


def test_hospitals_that_keep_their_records_back_are_named(asked, quay):
    """Who is asked, whose records are in the sum, who added zeros and why, who was not asked and helped to hide."""
    notes = {"aden": (Note.NOTE_WITHHELD_BUDGET,), "dakar": (Note.NOTE_WITHHELD_POLICY,)}
    quay.serve = lambda message: harbour.answer(message, notes=notes)
    sites = asked.ask(NORTH, Terms(minimum=1)).to_plain()["sites"]
    assert (sites["asked"], sites["answered"], sites["names"]) == (2, 1, ["brest"])
    assert (sites["withheld_by_budget"], sites["withheld_by_policy"], sites["silent"]) == (["aden"], [], [])
    assert sites["helped"] == ["cadiz", "dakar", "elba"]
    with pytest.raises(Rejected, match="too-few"):
        asked.ask(NORTH, Terms(minimum=2, fresh=True))


def test_csv_opens_in_a_spreadsheet(asked):
    """The CSV begins with a byte order mark and holds the Chinese names and every figure with its interval."""
    data = asked.ask(BY_SEX).to_csv()
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert [row["性别"] for row in rows] == ["F", "M"]
    assert float(rows[0]["人数_low"]) < float(rows[0]["人数"]) < float(rows[0]["人数_high"])


def test_a_question_from_python_is_the_same_as_from_sql(asked, quay):
    """The builder is bound to the federation's catalogue and hospitals; the same question has the same bytes."""
    built = asked.question().table("stay").by("sex").measure(n=count()).build()
    asked.ask(built)
    asked.ask("SELECT sex, COUNT(*) AS n FROM stay GROUP BY sex")
    assert quay.submitted[0].plan == quay.submitted[1].plan


def test_the_same_question_again_costs_nothing(asked):
    """A released answer serves again, shown under the names of the new question, and its cost is 0."""
    first = asked.ask(BY_SEX)
    again = asked.ask("SELECT sex, COUNT(*) AS n FROM stay GROUP BY sex ORDER BY n LIMIT 1")
    assert (first.reused, again.reused) == (False, True)
    assert again.release == first.release
    assert (again.to_plain()["cost"]["units"], first.cost_units > 0) == (0, True)
    assert [column.name for column in again.answer.columns] == ["sex", "n"]


def test_what_is_left_includes_this_question_although_nobody_was_heard_since(asked):
    """A status from before the answer is lowered by the cost."""
    result = asked.ask(BY_SEX)
    assert set(result.remaining_units.values()) == {harbour.LIFETIME - result.cost_units}


# --- nothing of an answer is believed that can be checked


def test_an_answer_to_another_question_is_refused(asked, quay):
    """A coordinator that serves another plan, price, cohort or an old answer where a fresh one was wanted is caught."""
    other = []
    quay.serve = lambda message: other[-1] if other else harbour.answer(message)
    asked.ask("SELECT COUNT(*) AS n FROM stay")
    other.append(next(iter(quay.released.values())))
    for statement, terms in (
        (BY_SEX, Terms()),
        ("SELECT COUNT(*) AS n FROM stay", Terms(epsilon=0.9)),
        ("SELECT COUNT(*) AS n FROM stay WHERE site.region = 'N'", Terms()),
        ("SELECT COUNT(*) AS n FROM stay", Terms(fresh=True)),
        ("SELECT COUNT(*) AS n FROM stay", Terms(trust=Trust.NONE)),
    ):
        with pytest.raises(Rejected):
            asked.ask(statement, terms)


def test_an_answer_of_too_few_hospitals_is_refused(asked, quay):
    """An earlier release with fewer hospitals than this request needs does not serve it."""
    quay.serve = lambda message: harbour.answer(message, silent=("aden",))
    asked.ask(BY_SEX)
    with pytest.raises(Rejected) as refusal:
        asked.ask(BY_SEX, Terms(minimum=5))
    assert refusal.value.code == "too-few"


def test_a_release_that_was_tampered_with_is_refused(tmp_path, signed):
    """Another signer, a changed sum, hospitals that were not announced, a false honest minimum: all are refused."""
    known = harbour.known(held=harbour.home(tmp_path / "other"), folder=tmp_path / "other")
    good = harbour.answer(signed)
    opening.open_release(good, known, known.roster)

    release = releases.read(good, federation="harbour", coordinator_key=harbour.key("coordinator").public)
    roster, coordinator = harbour.roster(), harbour.key("coordinator")
    bad = {
        "forged": releases.write(release, roster, harbour.key("aden")),
        "tampered": harbour.changed(good, body=good.body[:-1] + bytes([good.body[-1] ^ 1])),
        "stranger": releases.write(
            replace(release, contributors=(*release.contributors, "zanzibar")), roster, coordinator
        ),
        "few": releases.write(replace(release, contributors=release.contributors[:2]), roster, coordinator),
        "short": releases.write(replace(release, vector=release.vector[:-1]), roster, coordinator),
        "other": releases.write(replace(release, id=bytes(16)), roster, coordinator),
        "masks": releases.write(replace(release, masks="pairwise"), roster, coordinator),
        "less noise": harbour.announced_otherwise(release, honest=4),
        "fewer feared": harbour.announced_otherwise(release, colluders=0, honest=4),
        "re-aimed": harbour.announced_otherwise(release, contributors=("aden",), minimum=1),
        "newer": harbour.answer(signed, under=harbour.roster(version=9)),
    }
    believed = []
    for name, message in bad.items():
        with suppress(Rejected):
            opening.open_release(message, known, known.roster)
            believed.append(name)
    assert believed == []


def test_a_release_of_an_earlier_roster_is_verified_by_that_roster(asked, quay, tmp_path):
    """A hospital joined since: the coordinator hands out the old roster, and only the registrar's own will do."""
    first = asked.ask(NORTH)
    quay.under = harbour.roster(version=4, sites=(*harbour.SITES, "fez"))
    with pytest.raises(KeyError):
        asked.ask(NORTH)
    quay.earlier = {3: harbour.roster()}
    again = asked.ask(NORTH)
    assert (again.reused, again.release, again.privacy.contributors) == (True, first.release, 5)
    assert [result.release for result in asked.releases()] == [first.release]
    for wrong in (
        harbour.roster(version=2),
        replace(harbour.roster(), federation="other"),
        harbour.with_coordinator(harbour.roster(), harbour.key("another coordinator").public),
    ):
        later = harbour.federation(tmp_path / "later", quay)
        quay.earlier = {3: wrong}
        with pytest.raises(Rejected):
            later.release(first.release)


# --- price


def test_a_dry_run_shows_what_the_fear_of_collusion_costs(asked, quay):
    """Under each trust setting, c, h and the half-width at the same price: the less is feared, the less noise."""
    asking = asked.estimate(BY_SEX, Terms(epsilon=1.0))
    under = settings(asking, asked.catalogue)
    assert [(trust.value, shared.colluders, shared.honest) for trust, (shared, _) in under.items()] == [
        ("none", 0, 4), ("one-fifth", 0, 4), ("one-third", 1, 3),
    ]  # fmt: skip
    assert under[Trust.THIRD][1] == half_widths(asking, asked.catalogue)
    ratio = under[Trust.THIRD][1]["人数"] / under[Trust.NONE][1]["人数"]
    assert ratio == pytest.approx((4 / 3) ** 0.5, rel=0.01)
    assert quay.submitted == []


def test_a_federation_too_small_for_a_sum_prices_nothing(asked, quay):
    """Two hospitals can hide nothing from each other."""
    quay.under = harbour.roster(version=4, sites=harbour.SITES[:2])
    with pytest.raises(Rejected, match="too-few-nodes"):
        asked.estimate(BY_SEX)


def test_a_dry_run_sends_nothing(asked, quay):
    """An estimate prices the question and foresees its error; no request leaves."""
    asking = asked.estimate(BY_SEX, Terms(epsilon=1.0))
    widths = half_widths(asking, asked.catalogue)
    assert quay.submitted == []
    assert (asking.minimum, asking.epsilon) == (4, pytest.approx(1.0, abs=1e-3))
    result = asked.ask(BY_SEX, Terms(epsilon=1.0))
    assert widths["人数"] == pytest.approx(1.959964 * result.privacy.noise_sd["人数"])


@pytest.mark.parametrize(("within", "expect", "target"), [("5%", 2000, 100), ("5 ％", 2000, 100), ("40", None, 40)])
def test_within_finds_the_least_cost(asked, within, expect, target):
    """The half-width is within what was asked for, and a slightly cheaper question's is not."""
    asking = asked.estimate(BY_SEX, Terms(within=within, expect=expect))
    (half,) = half_widths(asking, asked.catalogue).values()
    assert half <= target
    assert half >= 0.99 * target


@pytest.mark.parametrize(
    ("terms", "word"),
    [
        (Terms(within="5%"), "--expect"),
        (Terms(within="five"), "5%"),
        (Terms(within="0"), "5%"),
        (Terms(within="1", expect=100), "wider"),
        (Terms(within="5%", expect=100, epsilon=1.0), "one of the two"),
        (Terms(within="5%", expect=-100), "not a number of rows"),
        (Terms(expect=float("nan")), "not a number of rows"),
        (Terms(minimum=6), "1 to 5"),
        (Terms(minimum=0), "1 to 5"),
    ],
)
def test_terms_that_cannot_be_met_say_what_is_missing(asked, quay, terms, word):
    """The error names what to give instead, and nothing was asked."""
    with pytest.raises(FarrError, match=word):
        asked.ask(BY_SEX, terms)
    assert quay.submitted == []


def test_the_error_of_a_ratio_cannot_be_foreseen_without_the_rows(asked):
    """A share has no fixed error: --within asks for the expected rows, and with them finds a price."""
    with pytest.raises(FarrError, match="--expect"):
        asked.estimate(SHARE, Terms(within="2"))
    assert asked.estimate(SHARE, Terms(within="2", expect=5000)).rho_units > 0


def test_a_figure_that_little_noise_leaves_undefined_has_a_price(asked):
    """A ratio to reference rates is undefined at low prices: the search goes on above them, beside a count too."""
    ratio = "SMR(sex = 'F', BAND(age, 45, 65), 0.1, 0.2, 0.3) AS s"
    for figures in (ratio, f"{ratio}, COUNT(*) AS n"):
        asking = asked.estimate(f"SELECT {figures} FROM stay", Terms(within="100000", expect=50))
        assert asking.rho_units > 1
        assert half_widths(asking, asked.catalogue)["s"] is not None


def test_a_refused_statement_never_leaves(asked, quay):
    """A statement outside the subset is refused here, with the place in the text."""
    with pytest.raises(StatementError) as refusal:
        asked.ask("SELECT patient_id FROM stay")
    assert refusal.value.text[refusal.value.start : refusal.value.end] == "patient_id"
    assert quay.submitted == []


# --- requests that live longer than a process


def test_an_answer_is_fetched_later_and_held_against_what_was_asked(asked, quay, tmp_path):
    """The signed request is kept in the home; another process waits for it, and is not fooled either."""
    identifier = asked.submit(BY_SEX)
    later = type(asked)(tmp_path / "home")
    later._line.close()
    later._line = quay
    assert later.wait(identifier[:6]).statement == BY_SEX
    asked.submit("SELECT COUNT(*) AS n FROM stay")
    quay.released[bytes.fromhex(identifier)] = list(quay.released.values())[-1]
    with pytest.raises(Rejected):
        later.wait(identifier)


def test_a_request_from_another_machine_is_shown_as_its_own_signature_says(asked, quay, tmp_path):
    """Without the kept request, its own release is shown, but not an earlier one that the coordinator points to."""
    identifier = asked.submit(BY_SEX)
    again = asked.submit(BY_SEX)
    for kept in (tmp_path / "home" / "requests").iterdir():
        kept.unlink()
    assert asked.wait(identifier).statement == BY_SEX
    with pytest.raises(FarrError, match="releases show"):
        asked.wait(again)


def test_a_wait_survives_a_coordinator_that_restarts(asked, quay, monkeypatch):
    """A broken watch is taken up again; other errors are not."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    answers = [FarrError("unreachable", "gone"), FarrError("connection", "gone"), None]
    watch = quay.watch

    def breaking(request, timeout):
        error = answers.pop(0)
        if error:
            raise error
        yield from watch(request, timeout)

    quay.watch = breaking
    assert asked.ask(BY_SEX).sites.silent == ()
    quay.watch = lambda *_arguments: (_ for _ in ()).throw(FarrError("unknown-member", "revoked"))
    with pytest.raises(FarrError, match="revoked"):
        asked.ask("SELECT COUNT(*) AS n FROM stay")


def test_ids_may_be_shortened_but_not_ambiguous(asked):
    """The beginning of an id will do where only one has it."""
    identifier = asked.submit(BY_SEX)
    assert asked.request(identifier[:8]).id == identifier
    with pytest.raises(FarrError, match="none"):
        asked.request("zz")
    asked.submit("SELECT COUNT(*) AS n FROM stay")
    with pytest.raises(FarrError, match="none"):
        asked.request("")


def test_a_cancelled_request_says_so(asked, quay):
    """Cancelling gives the state, and waiting for it then is an error with the code."""
    identifier = asked.submit(BY_SEX)
    assert asked.cancel(identifier).state == "cancelled"
    quay.statuses[bytes.fromhex(identifier)].code = "cancelled"
    with pytest.raises(FarrError) as error:
        asked.wait(identifier)
    assert error.value.code == "cancelled"


def test_a_failure_says_how_many_answered_and_why_others_refused():
    """Counts, each refusal with its code and hospitals, and who was not there; one shared reason becomes the code."""
    status = RequestStatus(
        id=bytes(16), state=State.STATE_FAILED, asked=4, answered=1, needed=3, code="too-few",
        sites=[
            SiteProgress(site="aden", state="answered"),
            SiteProgress(site="brest", state="budget", reference="77"),
            SiteProgress(site="cadiz", state="budget"),
            SiteProgress(site="dakar", state="offline"),
        ],
    )  # fmt: skip
    error = failure(read_state(status))
    assert error.code == "budget"
    assert error.message.splitlines()[0] == "1 of 4 hospitals answered, 3 needed"
    assert "brest, cadiz" in error.message
    assert "dakar" in error.message
    assert error.details["refusals"] == {"budget": ["brest", "cadiz"]}
    del status.sites[1:3]
    assert failure(read_state(status)).code == "too-few"


def test_a_refusal_for_a_price_or_a_policy_says_what_would_be_answered():
    """The price that was asked for, which ``--within`` finds by itself; of a policy, fewer hospitals told apart."""

    def refused(code):
        sites = [SiteProgress(site=site, state=code) for site in ("aden", "brest")]
        status = RequestStatus(
            id=bytes(16), state=State.STATE_FAILED, asked=2, needed=2, sites=sites, rho_units=units(rho_of(1.9))
        )
        return failure(read_state(status))

    assert "asked at epsilon 1.9" in refused("cost-limit").message
    assert "asked at" not in refused("policy").message
    assert "GROUP BY site" in refused("policy").remedy


def test_only_an_analysts_home_asks_questions(tmp_path):
    """A folder that is no home, or another member's, is refused with what to do."""
    with pytest.raises(FarrError, match="farr join"):
        connect(tmp_path)
    harbour.home(tmp_path / "home")
    text = (tmp_path / "home" / "member.json").read_text().replace("analyst", "node", 2)
    (tmp_path / "home" / "member.json").write_text(text.replace('"role": "analyst"', '"role": "node"'))
    with pytest.raises(FarrError) as error:
        connect(tmp_path / "home")
    assert error.value.code == "wrong-role"


def test_requests_are_signed_by_the_analyst(signed):
    """Whoever holds the roster can check the request's signature; another federation's roster refuses it."""
    assert requests.read(signed, roster=harbour.roster(), now=int(time.time())).analyst == "analyst"
    with pytest.raises(Rejected):
        requests.read(signed, roster=replace(harbour.roster(), federation="other"), now=int(time.time()))
