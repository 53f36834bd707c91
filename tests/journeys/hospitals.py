"""Real hospital services and a real coordinator in one process, over real connections; the records are made up.

Noise is left out where a test asks for exact sums; keys, masks, shares, ledger, gate and link are the node's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from contextlib import asynccontextmanager

import numpy as np

from node.answer import Answerer
from node.authority import policy
from node.blobs import Blobs, Sender
from node.books.ledger import Ledger
from node.books.promises import Promises
from node.books.state import open_state, read_state
from node.desk import Desk
from node.gate import Gate
from node.link import Link
from node.membership import Membership
from node.refusal import Replier
from node.scan.compiled import Compiler
from node.seats import Seats
from node.vectors import Vectors
from protocols import release as releases
from protocols import ring
from protocols.credentials import Credentials
from protocols.wire_pb2 import Role
from queries.cost.accounting import rho_of, units
from tests.coordinator.federation import HOSPITALS, NAME, Federation, Running

POLICY = """
lifetime_epsilon = 10
most_epsilon_per_question = 2.0
tables = "all"
own_row = true
site_group_minimum = 2
minimum_hospitals = 1
least_honest = 1
trust_floor = "none"
authorities = "all"
analysts = "all"
columns = "all"
newcomer_days = 0
minimum_cell = 0
period = "year"
epsilon_per_period = 100
approval_purposes = "none"
approval_above_epsilon = 100
purposes.statistics = 100
purposes.test = 100
finest.time = "day"
"""

PRICE = units(rho_of(0.1))
"""What a question offers: of ten for life, every hospital can answer many."""

SOON = 60.0


def free_port():
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def exactly(exact, measurement):
    """Add no noise: the vector on the grid of each block, so that a sum can be told to the last patient."""
    grids = np.repeat([block.grid for block in measurement.blocks], [block.entries for block in measurement.blocks])
    return ring.to_ring(exact * grids)


class Service:
    """One hospital: what `farr node serve` puts together, without preparing data."""

    def __init__(self, town, site, *, entry, entropy=os.urandom, noise=exactly, clock=None):
        """Prepare in a home of its own; every cell of its tally holds ``entry`` patients."""
        self.town = town
        self.site = site
        self.entry = entry
        self.entropy = entropy
        self.noise = noise
        self.clock = clock or town.clock
        self.home = town.folder / site
        self.home.mkdir(exist_ok=True)
        if not (self.home / policy.FILE).exists():
            (self.home / policy.FILE).write_text(POLICY)
        self.reads = 0
        self.deaf = False
        self.go = threading.Event()
        self.go.set()
        self.address = town.address
        self._task = None

    def allow(self, **changes):
        """Change the policy: lines by key."""
        lines = dict(line.split(" = ") for line in POLICY.strip().splitlines()) | changes
        (self.home / policy.FILE).write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))

    def start(self):
        """Open the state and connect, as a process would that starts."""
        federation, party = self.town.federation, self.town.federation.parties[self.site]
        credentials = Credentials(
            federation=NAME,
            member=self.site,
            role=Role.ROLE_NODE,
            address=self.address,
            ca_certificate=federation.authority.pem,
            certificate=party.certificate_pem,
            tls_key=party.key_pem,
            identity=party.identity,
            registrar_key=federation.authority.registrar.public,
        )
        self.connection = open_state(self.home)
        self.committed = read_state(self.home)
        self.desk = Desk()
        self.seats = Seats(member=self.site, identity=party.identity, connection=self.connection, entropy=self.entropy)
        policy_file = self.home / policy.FILE
        vectors = Vectors(home=self.home)
        self.blobs = Blobs(home=self.home, credentials=credentials)
        answerer = Answerer(
            member=self.site,
            identity=party.identity,
            compiler=Compiler(catalogue=federation.catalogue),
            connection=self.connection,
            seats=self.seats,
            policy=lambda: policy.load(policy_file),
            tables=frozenset({"stay"}),
            scan=self._scan,
            noise=self.noise,
            clock=self.clock,
            keep=vectors.keep,
        )
        gate = Gate(
            member=self.site,
            ledger=Ledger(connection=self.committed),
            promises=Promises(connection=self.committed),
            policy_file=policy_file,
            tables=("stay",),
        )
        self.link = Link(
            credentials=credentials,
            software="farr/0.0.0",
            gate=gate,
            sender=Sender(gate=gate, vectors=vectors),
            desk=self.desk,
            membership=Membership(credentials, self.connection, self.clock, self.town.roster),
            replier=Replier(answerer=answerer, home=self.home, clock=self.clock),
        )
        take = self.link._take

        async def hear(call, signed):
            if not self.deaf:
                await take(call, signed)

        self.link._take = hear
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self.link.run(self._stop))

    async def seated(self, above=0):
        """Wait until it holds a seat in an epoch above a number; return the epoch's number."""
        async with asyncio.timeout(SOON):
            while self.seats.number <= above:  # noqa: ASYNC110 - the node tells nobody
                await asyncio.sleep(0.01)
        return self.seats.number

    async def die(self):
        """End as if killed: nothing is finished, what was not committed never was."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        self.desk.close()
        async with asyncio.timeout(SOON):
            while self.desk.waiting:  # noqa: ASYNC110 - a thread
                await asyncio.sleep(0.01)
        self.connection.close()
        self.committed.close()

    async def restart(self):
        """End as if killed and start again on the same home."""
        await self.die()
        self.start()

    @property
    def spent(self):
        """Return what its patients were charged, in units."""
        with contextlib.closing(read_state(self.home)) as connection:
            return Ledger(connection=connection).spent()

    def _scan(self, tally, attributes, tables):
        self.reads += 1
        # Cleared by a test, scans wait until it is set again.
        self.go.wait(SOON)
        return np.full(tally.entries, self.entry, dtype=np.int64)


class Town:
    """A federation at work."""

    def __init__(self, folder, federation, *, roster=None, clock=None, **settings):
        """Prepare the coordinator in ``folder``."""
        import time

        self.folder = folder
        self.federation = federation
        self.roster = roster or federation.signed_roster
        self.clock = clock or time.time
        self.address = f"127.0.0.1:{free_port()}"
        settings = {"listen": self.address, "roster": self.roster, "clock": self.clock, **settings}
        self.running = Running(federation, federation.settings(folder / "coordinator", **settings))
        self.services = {}

    async def open(self, sites=HOSPITALS, **changes):
        """Start hospitals, with 1, 10, 100 ... patients in every cell; return when all have a seat in one epoch."""
        for place, site in enumerate(sites):
            self.services[site] = Service(self, site, entry=10**place, **changes)
            self.services[site].start()
        return await self.gathered(sites)

    async def gathered(self, sites, above=0):
        """Wait until hospitals are seated in the same epoch; return its number."""
        async with asyncio.timeout(SOON):
            while True:
                numbers = {await self.services[site].seated(above) for site in sites}
                if len(numbers) == 1:
                    # What they deposit is on its way.
                    await asyncio.sleep(0.2)
                    return numbers.pop()
                await asyncio.sleep(0.05)

    def analyst(self, id_="ada"):
        """Return an analyst's line."""
        return self.running.analyst(id_)

    async def ask(self, **changes):
        """Ask and wait for the end; return the final status."""
        return await self.analyst().ask(**{"rho_units": PRICE, "fresh": True, **changes})

    async def answer(self, status):
        """Return the release of an answered request, verified."""
        return await self.analyst().answer(status)

    async def figures(self, status):
        """Return the released figures: patients by cell."""
        release = await self.answer(status)
        grid = self.grid(release)
        return [int(entry) / grid for entry in ring.centred(release.vector)]

    def grid(self, release):
        """Return the grid of the only block of a release, as its hospitals computed it."""
        announced = self.announced(release)
        compiler = Compiler(catalogue=self.federation.catalogue)
        compiled = compiler.compile(announced.request.plan, announced.request.rho_units, announced.honest)
        (block,) = compiled.measurement.blocks
        return block.grid

    def announced(self, release):
        """Return the announcement behind a release."""
        from protocols import roster as rosters

        roster = rosters.read(self.roster, federation=NAME, registrar_key=self.federation.authority.registrar.public)
        return releases.announced(release, roster=roster, now=release.released_at)


@asynccontextmanager
async def town(folder, federation=None, **settings):
    """Run a federation for the length of a block."""
    federation = federation or Federation()
    place = Town(folder, federation, **settings)
    (folder / "coordinator").mkdir()
    await place.running.start()
    try:
        yield place
    finally:
        await asyncio.gather(*(service.die() for service in place.services.values()))
        await place.running.stop()
