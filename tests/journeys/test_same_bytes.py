"""The services make the same bytes as the specification, protocols/rehearsal.py, does in memory."""

import asyncio
import math
import os
import time

import numpy as np
import pytest

from protocols import rehearsal
from protocols import round as rounds
from protocols.farrsum import epoch as epochs
from protocols.farrsum import seat as seats
from protocols.farrsum.slots import AHEAD
from protocols.rehearsal import Convened, Hospital, run_round
from protocols.request import read as read_request
from protocols.wire_pb2 import Deposits, NodeMessage, RequestId, State
from tests.coordinator.federation import HOSPITALS, NAME, Federation
from tests.journeys.hospitals import PRICE, Service, town

VECTORS = {
    site: np.array([(1 << 64) - 1 - place, 5 << (11 * place)], dtype=np.uint64) for place, site in enumerate(HOSPITALS)
}
"""Noisy vectors: what was drawn is not the matter here. They wrap around."""


class Drawn:
    """Entropy of the operating system, every draw written down."""

    def __init__(self):
        """Start with nothing drawn."""
        self.draws = []

    def __call__(self, size):
        """Draw."""
        self.draws.append(os.urandom(size))
        return self.draws[-1]


def replayed(draws):
    """Return a source of the same draws in the same order; another size is a difference between the two paths."""
    left = iter(draws)

    def draw(size):
        found = next(left)
        assert len(found) == size
        return found

    return draw


def of_rehearsal(draws):
    """Return those draws of a service that one round without slots ahead needs: key, slot 1, self-mask."""
    each = (len(draws) - 1) // (AHEAD + 1)
    return [draws[0], *draws[1 : 1 + each], *draws[1 + AHEAD * each :]]


def told(messages, kind):
    """Return what a hospital sent of one kind, as bytes."""
    found = [getattr(message, kind) for message in messages if message.WhichOneof("kind") == kind]
    return [each.SerializeToString(deterministic=True) for each in found]


async def through_the_services(folder, federation, request, silent, now):
    """Ask over real connections; return the release, what each hospital sent, and its draws."""
    sent, entropy = {site: [] for site in HOSPITALS}, {site: Drawn() for site in HOSPITALS}
    async with town(folder, federation, clock=lambda: now, straggler_seconds=0.3 if silent else 20) as place:
        for site in HOSPITALS:
            service = place.services[site] = Service(
                place, site, entry=1, entropy=entropy[site], noise=lambda *_, site=site: VECTORS[site]
            )
            service.start()
            release = service.link._gate.release

            def leave(message, release=release, site=site):
                allowed = release(message)
                sent[site].append(NodeMessage.FromString(allowed.SerializeToString()))
                return allowed

            object.__setattr__(service.link, "_gate", type("Recorded", (), {"release": staticmethod(leave)})())
        assert await place.gathered(HOSPITALS) == 1
        for site in silent:
            place.services[site].deaf = True
        analyst = place.analyst()
        status = await analyst.end_of(await analyst.stub.Submit(request))
        assert status.state == State.STATE_ANSWERED
        released = await analyst.stub.Release(RequestId(id=status.release))
        # The sum opens with a quorum; what the others had to say is on its way.
        await asyncio.sleep(0.3)
        draws = {site: list(source.draws) for site, source in entropy.items()}
    return released, sent, draws


def in_memory(monkeypatch, federation, request, *, draws, silent, now, deadline):
    """Run the specification with the same entropy; return the release and what each hospital sent."""
    sent = {site: {"epoch_key": [], "deposits": [], "upload": [], "confirmation": [], "shares": []} for site in draws}

    def written(kind, member, message):
        sent[member][kind].append(message.SerializeToString(deterministic=True))

    def watch(module, name, note):
        kept = getattr(module, name)

        def watched(*arguments, **named):
            result = kept(*arguments, **named)
            note(result, arguments, named)
            return result

        monkeypatch.setattr(module, name, watched)

    watch(epochs, "write_key", lambda result, _, named: written("epoch_key", named["member"], result))
    watch(
        seats, "deposit",
        lambda result, _, named: written("deposits", named["seat"].epoch.members[named["seat"].own], result[0]),
    )  # fmt: skip
    watch(rounds, "take_upload", lambda _, arguments, __: written("upload", arguments[1].signer, arguments[1]))
    watch(rounds, "take_confirmation", lambda _, arguments, __: written("confirmation", *arguments[1:3]))
    watch(rounds, "take_shares", lambda _, arguments, __: written("shares", *arguments[1:3]))
    assert (rehearsal.epochs, rehearsal.seats, rehearsal.rounds) == (epochs, seats, rounds)
    released = run_round(
        request,
        signed_roster=federation.signed_roster,
        registrar_key=federation.authority.registrar.public,
        federation=NAME,
        hospitals={
            site: Hospital(
                key=federation.parties[site].identity,
                vector=VECTORS[site],
                entropy=replayed(of_rehearsal(draws[site]) if site not in silent else draws[site]),
            )
            for site in HOSPITALS
        },
        convened=Convened(
            key=federation.parties["convener"].identity, epoch=1, slot=1, deadline=deadline, now=int(now)
        ),
        silent=frozenset(silent),
    )
    return released, sent


@pytest.mark.parametrize("silent", [(), ("delft",)], ids=["everybody", "a dropout"])
def test_the_services_make_the_bytes_of_the_specification(tmp_path, monkeypatch, silent):
    """Same entropy, keys and noisy vectors: same keys, deposits, uploads, confirmations, shares and release."""
    now = float(int(time.time()))
    federation = Federation()
    asked = federation.request(rho_units=PRICE)
    request = federation.sign(asked)
    released, over_grpc, draws = asyncio.run(through_the_services(tmp_path, federation, request, silent, now))
    deadline = math.ceil(now + federation.settings(tmp_path).round_seconds)
    expected, sent = in_memory(monkeypatch, federation, request, draws=draws, silent=silent, now=now, deadline=deadline)
    assert read_request(request, roster=federation.roster, now=int(now)) == asked
    for site in HOSPITALS:
        assert told(over_grpc[site], "epoch_key") == sent[site]["epoch_key"]
        slots = Deposits.FromString(told(over_grpc[site], "deposits")[0]).deposits
        assert [slot.slot for slot in slots] == list(range(1, AHEAD + 1))
        assert [Deposits(deposits=slots[:1]).SerializeToString(deterministic=True)] == sent[site]["deposits"]
        for kind in ("upload", "confirmation", "shares"):
            assert told(over_grpc[site], kind) == sent[site][kind]
            assert len(sent[site][kind]) == (site not in silent)
    assert released.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)
