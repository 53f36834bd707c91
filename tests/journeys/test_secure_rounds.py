"""Rounds that survive life: real hospital services and a real coordinator, over real connections."""

import asyncio
import time

import pytest

from coordinator import epochs
from protocols.wire_pb2 import RequestId, State
from tests.coordinator import federation as parties
from tests.coordinator.federation import HOSPITALS, Federation
from tests.journeys import hospitals
from tests.journeys.hospitals import PRICE, Service, town


@pytest.fixture(scope="module")
def federation():
    """One set of keys and certificates for all tests."""
    return Federation()


def test_a_question_is_answered_under_masks(federation, tmp_path):
    """Five hospitals: the exact sum, m, c and h as stated, each charged once, and each vector hidden."""

    async def scenario():
        async with town(tmp_path, federation) as place:
            await place.open()
            status = await place.ask()
            release = await place.answer(status)
            announced = place.announced(release)
            assert await place.figures(status) == [11111.0, 11111.0]
            assert (announced.minimum, announced.colluders, announced.honest) == (4, 1, 3)
            assert (release.masks, release.contributors) == ("farrsum", HOSPITALS)
            spent = {service.spent for service in place.services.values()}
            assert len(spent) == 1
            assert 0 < spent.pop() <= PRICE

    asyncio.run(scenario())


def test_a_question_that_bears_no_absence_needs_less_noise(federation, tmp_path):
    """With a minimum of all five m is 5, so h is 4 instead of 3, and the sum of all is as exact as it says."""

    async def scenario():
        async with town(tmp_path, federation) as place:
            await place.open()
            status = await place.ask(minimum=5)
            announced = place.announced(await place.answer(status))
            assert (announced.minimum, announced.colluders, announced.honest) == (5, 1, 4)
            assert await place.figures(status) == [11111.0, 11111.0]

    asyncio.run(scenario())


def test_a_dropout_before_the_upload_is_left_out_and_not_charged(federation, tmp_path):
    """One hears the announcement and never answers: the sum over four, its slot's secret opened, nothing charged."""

    async def scenario():
        async with town(tmp_path, federation, straggler_seconds=0.3) as place:
            await place.open()
            place.services["essen"].deaf = True
            begun = time.monotonic()
            status = await place.ask()
            assert time.monotonic() - begun < place.running.settings.round_seconds / 2
            assert await place.figures(status) == [1111.0, 1111.0]
            assert (status.answered, status.sites[4].state) == (4, "asked")
            assert place.services["essen"].spent == 0
            assert place.services["aden"].spent > 0

    asyncio.run(scenario())


def test_a_dropout_after_the_upload_is_in_the_sum(federation, tmp_path):
    """One dies when its upload has arrived: it is in the sum, and charged; it neither confirms nor opens."""

    async def scenario():
        async with town(tmp_path, federation) as place:
            await place.open()
            for site in HOSPITALS[:4]:
                place.services[site].go.clear()
            analyst = place.analyst()
            status = await analyst.start(rho_units=PRICE)
            await analyst.until(status, lambda now: now.answered == 1)
            await place.services["essen"].die()
            for site in HOSPITALS[:4]:
                place.services[site].go.set()
            status = await analyst.end_of(status)
            assert await place.figures(status) == [11111.0, 11111.0]
            assert place.services["essen"].spent > 0

    asyncio.run(scenario())


def test_a_straggler_is_not_waited_for_and_its_late_upload_is_ignored(federation, tmp_path):
    """One scans for seconds: the others' sum comes a moment after theirs; what it sends later changes nothing."""

    async def scenario():
        async with town(tmp_path, federation, straggler_seconds=0.3) as place:
            await place.open()
            straggler = place.services["essen"]
            straggler.go.clear()
            status = await place.ask()
            assert await place.figures(status) == [1111.0, 1111.0]
            straggler.go.set()
            async with asyncio.timeout(hospitals.SOON):
                while not straggler.spent:  # noqa: ASYNC110 - its ledger tells nobody
                    await asyncio.sleep(0.05)
            # Its upload left, so it is charged; it is welcome in the next round.
            assert await place.figures(await place.ask()) == [11111.0, 11111.0]

    asyncio.run(scenario())


def test_too_few_answers_end_in_a_failure_that_says_so(federation, tmp_path):
    """Two of five are silent, four are needed: failed, with counts, and the next question is answered."""

    async def scenario():
        async with town(tmp_path, federation, round_seconds=1.0) as place:
            await place.open()
            silent = [place.services[site] for site in HOSPITALS[3:]]
            for service in silent:
                service.deaf = True
            status = await place.ask()
            assert (status.state, status.code) == (State.STATE_FAILED, "too-few")
            assert (status.answered, status.asked, status.needed) == (3, 5, 4)
            for service in silent:
                service.deaf = False
            assert (await place.ask()).state == State.STATE_ANSWERED

    asyncio.run(scenario())


def test_hospitals_join_and_leave_between_epochs(federation, tmp_path):
    """Four answer; a fifth joins, and is in the next answer; one leaves, and the rest go on without it."""

    async def scenario():
        async with town(tmp_path, federation) as place:
            await place.open(HOSPITALS[:4])
            assert await place.figures(await place.ask()) == [1111.0, 1111.0]
            fifth = place.services["essen"] = Service(place, "essen", entry=10**4)
            fifth.start()
            await place.gathered(HOSPITALS, above=1)
            assert await place.figures(await place.ask()) == [11111.0, 11111.0]
            await place.services["aden"].die()
            await asyncio.sleep(0.1)
            assert await place.figures(await place.ask()) == [11110.0, 11110.0]

    asyncio.run(scenario())


def test_a_restarted_hospital_waits_for_the_next_epoch_and_then_takes_part(federation, tmp_path):
    """Its keys are gone with its process; its ledger is not. Soon it is in an epoch again."""

    async def scenario():
        async with town(tmp_path, federation) as place:
            first = await place.open()
            await place.ask()
            service = place.services["brest"]
            spent = service.spent
            await service.restart()
            assert service.seats.number == 0
            assert await place.gathered(HOSPITALS, above=first) > first
            assert await place.figures(await place.ask()) == [11111.0, 11111.0]
            assert service.spent == 2 * spent

    asyncio.run(scenario())


def test_a_restart_of_the_coordinator_interrupts_its_rounds_and_opens_a_new_epoch(federation, tmp_path):
    """The request has failed and says why; hospitals come back by themselves, and the question can be asked again."""

    async def scenario():
        async with town(tmp_path, federation) as place:
            first = await place.open()
            for service in place.services.values():
                service.go.clear()
            analyst = place.analyst()
            status = await analyst.start(rho_units=PRICE)
            await place.running.crash()
            for service in place.services.values():
                service.go.set()
            await place.running.start()
            end = await place.analyst().end_of(status)
            assert (end.state, end.code) == (State.STATE_FAILED, "interrupted")
            assert await place.gathered(HOSPITALS, above=first) > first
            assert await place.figures(await place.ask()) == [11111.0, 11111.0]

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [3, 4])
def test_in_the_smallest_federations_each_hospital_adds_the_whole_noise(federation, tmp_path, size):
    """Three or four: h = 1, masks all the same."""
    _, small = federation.issue(version=2, without=HOSPITALS[size:])

    async def scenario():
        async with town(tmp_path, federation, roster=small) as place:
            await place.open(HOSPITALS[:size])
            status = await place.ask(sites=HOSPITALS[:size], minimum=3)
            assert await place.figures(status) == [float("1" * size)] * 2
            release = await place.answer(status)
            announced = place.announced(release)
            assert (announced.minimum, announced.honest, release.masks) == (3, 1, "farrsum")

    asyncio.run(scenario())


def test_hospitals_that_are_not_asked_hide_the_others_at_no_cost(federation, tmp_path):
    """One hospital is asked: the figures are its own, five are in the sum, four read no record and are not charged."""

    async def scenario():
        async with town(tmp_path, federation) as place:
            await place.open()
            status = await place.ask(sites=("cork",), minimum=1)
            assert await place.figures(status) == [100.0, 100.0]
            assert (await place.answer(status)).contributors == HOSPITALS
            assert {site for site, service in place.services.items() if service.reads or service.spent} == {"cork"}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"most_epsilon_per_question": "0.01"}, "cost-limit"),
        ({"lifetime_epsilon": "0.01", "most_epsilon_per_question": "10"}, "budget"),
        ({"least_honest": "5"}, "policy"),
    ],
)
def test_a_hospital_that_withholds_adds_zeros_and_says_so(federation, tmp_path, line, code):
    """Its policy or its budget says no: the others are answered, it is named, reads nothing and is not charged."""

    async def scenario():
        async with town(tmp_path, federation) as place:
            await place.open()
            place.services["brest"].allow(**line)
            status = await place.ask()
            assert await place.figures(status) == [11101.0, 11101.0]
            assert (status.answered, status.sites[1].state) == (4, code)
            assert (place.services["brest"].reads, place.services["brest"].spent) == (0, 0)
            status = await place.ask(minimum=5)
            assert (status.state, status.code, status.sites[1].state) == (State.STATE_FAILED, "too-few", code)

    asyncio.run(scenario())


def test_a_weaker_fear_of_collusion_is_each_hospitals_to_allow(federation, tmp_path):
    """With trust "none" h is m; a hospital whose floor is a third keeps its records back."""
    from protocols.farrsum.parameters import Trust

    async def scenario():
        async with town(tmp_path, federation) as place:
            await place.open()
            place.services["aden"].allow(trust_floor='"one-third"')
            status = await place.ask(trust=Trust.NONE)
            announced = place.announced(await place.answer(status))
            assert (announced.colluders, announced.honest) == (0, 4)
            assert await place.figures(status) == [11110.0, 11110.0]

    asyncio.run(scenario())


def test_slots_are_replenished_while_questions_go_on(federation, tmp_path):
    """Forty questions, many at once, sixteen slots ahead: all are answered, in one epoch."""

    async def scenario():
        async with town(tmp_path, federation) as place:
            await place.open()
            ends = [end for _ in range(2) for end in await asyncio.gather(*(place.ask() for _ in range(20)))]
            assert {end.state for end in ends} == {State.STATE_ANSWERED}
            releases = await asyncio.gather(*(place.answer(end) for end in ends))
            rounds = [(place.announced(release).epoch, place.announced(release).slot) for release in releases]
            assert len(set(rounds)) == len(rounds)

    asyncio.run(scenario())


def test_a_cancelled_round_burns_its_slot_and_nothing_else(federation, tmp_path):
    """Cancelled in mid-round: nothing is opened, and the next question is answered in another slot."""

    async def scenario():
        async with town(tmp_path, federation) as place:
            await place.open()
            for service in place.services.values():
                service.go.clear()
            analyst = place.analyst()
            status = await analyst.start(rho_units=PRICE)
            await analyst.stub.Cancel(RequestId(id=status.id))
            for service in place.services.values():
                service.go.set()
            status = await place.ask()
            assert place.announced(await place.answer(status)).slot == 2

    asyncio.run(scenario())


@pytest.mark.slow
def test_150_hospitals_are_all_of_the_committee(tmp_path, monkeypatch):
    """The most that serve without a draw, over real connections: one is away, one drops out, the sum is exact."""
    # All of them share this machine's cores and one interpreter, so everything takes a hundred times as long.
    for module, name in ((hospitals, "SOON"), (parties, "SOON"), (epochs, "KEY_SECONDS"), (epochs, "DEPOSIT_SECONDS")):
        monkeypatch.setattr(module, name, 300)
    sites = tuple(f"h{number:03}" for number in range(150))

    async def scenario():
        changes = {"round_seconds": 200, "straggler_seconds": 5, "phase_seconds": 60, "settle_seconds": 10}
        async with town(tmp_path, Federation(sites), epoch_seconds=7200, **changes) as place:
            for site in sites[1:]:
                place.services[site] = Service(place, site, entry=1)
                place.services[site].start()
            await place.gathered(sites[1:])
            place.services[sites[-1]].deaf = True
            status = await place.ask(sites=sites, minimum=120)
            announced = place.announced(await place.answer(status))
            assert await place.figures(status) == [148.0, 148.0]
            assert len(announced.contributors) == 149
            assert (announced.minimum, announced.colluders, announced.honest) == (120, 49, 71)

    asyncio.run(scenario())
