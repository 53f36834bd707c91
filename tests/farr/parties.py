"""A small federation for tests: its catalogue, its registrar, its coordinator, and those who want to join."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
from contextlib import contextmanager

from coordinator.serve import serve
from coordinator.settings import CoordinatorSettings
from farr.membership import coordinating, keys
from farr.membership.coordinating import CoordinatorAdmission, CoordinatorApplication
from farr.registrar.founding import found_federation
from farr.registrar.tokens import Invitation, give
from protocols import joining
from protocols.token import decode
from protocols.wire_pb2 import Role
from queries.agreed.catalogue_file import read_catalogue

CATALOGUE = b"""
name = "ward"
version = "1"
sites_per_patient = 1
rows_per_site = 1000
[site.country]
codes = ["UK", "CN"]
[tables.admission]
patient = "patient_id"
rows_per_patient = 4
[tables.admission.columns.age]
number = { low = 0, high = 120 }
"""
NOW = 1_800_000_000


def free_address():
    """Return an address on this machine that nothing answers at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def coordinator_body(folder, address="hub.example.org:7443"):
    """Return the body of the application of the coordinator in ``folder``/c."""
    return CoordinatorApplication.from_file(coordinating.apply(folder / "c", address)).body


def found_with(folder, body, *, name="stroke", now=NOW, address="hub.example.org:7443"):
    """Found a federation in ``folder``/r with a coordinator's application."""
    application = CoordinatorApplication(address=address, body=body)
    catalogue = read_catalogue(CATALOGUE, "catalogue.toml")
    return found_federation(folder / "r", name=name, catalogue=catalogue, application=application, now=now)


def found(folder, *, now=NOW, address="hub.example.org:7443"):
    """Found a federation in ``folder``/r with a coordinator in ``folder``/c; return its admission file."""
    return found_with(folder, coordinator_body(folder, address), now=now, address=address)


def found_again(folder, *, name):
    """Found a federation once more with the application that was written the first time."""
    body = CoordinatorApplication.from_file(folder / "c" / coordinating.APPLICATION).body
    return found_with(folder, body, name=name)


def invite(registrar, member="st-mary", *, now=NOW, **fields):
    """Give a token for a hospital, or whom ``fields`` say, and read it."""
    settings = {"role": Role.ROLE_NODE, "address": registrar.federation.address, **fields}
    return decode(give(registrar, Invitation(member=member, **settings), now=now))


def application(token, /, *, identity=None, tls_key=None, signer=None, request=None, **fields):
    """Apply with a token; ``fields`` replace what an honest application says."""
    identity = identity or keys.new_identity()
    said = {
        "federation": token.federation,
        "id": token.member,
        "role": token.role,
        "identity_key": identity.public,
        "certificate_request": keys.certificate_request(tls_key or keys.new_tls_key(), "anything")
        if request is None
        else request,
        "token": hashlib.sha256(token.certificate).digest(),
        **fields,
    }
    return joining.sign(joining.write(joining.Application(**said), identity), signer or token.private_key())


def complete_coordinator(folder, admission, *, now=NOW):
    """Complete the coordinator's home."""
    return coordinating.complete(folder / "c", CoordinatorAdmission.from_file(admission), now=now)


@contextmanager
def running(held, folder):
    """Run the coordinator of a completed home in a thread of its own."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    settings = CoordinatorSettings(
        credentials=held.credentials,
        home=folder / "c",
        roster=held.roster,
        catalogue=held.catalogue,
        listen=held.credentials.address,
    )
    task = loop.create_task(serve(settings, lambda _address: ready.set()))

    def run():
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(task.cancel)
        thread.join(20)
