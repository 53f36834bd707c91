"""What a hospital's node reads of the coordinator, each through the replier that the link calls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError

from node.authority import policy
from node.authority.policy import PolicyError
from node.membership import Membership
from node.records.mapping import SourceError, read_mapping
from node.refusal import Replier
from protocols import announcement as announcements
from protocols import checkpoint as checkpoints
from protocols import release as releases
from protocols import request as requests
from protocols import roster as rosters
from protocols.checkpoint import Checkpoint
from protocols.credentials import Credentials
from protocols.errors import Rejected
from protocols.release import Release
from protocols.wire_pb2 import Confirm, CoordinatorMessage, Heads, Proposal, Role, Unmask
from queries.asked.canonical import encode
from tests.fuzz import app_messages
from tests.fuzz.trying import Parser, as_message, as_text
from tests.node import rig
from tests.node.company import Company, Played
from tests.node.test_heads import keeper_of
from tests.node.trained import round_
from tests.protocols.test_checkpoint import of, tree_of

MOST_ACCEPTED = 40
"""Inputs after which a node's home is made anew: its lists of what was seen once fill up."""


class Loud(Replier):
    """A replier that lets through what it would have kept to itself."""

    def _tell(self, named, code, reference, detail):
        if int(reference, 16) % 8 == 0:  # as it is, but not for every one: the log is slower than what is tried
            Replier._tell(self, named, code, reference, detail)
        raise Rejected(code, detail)

    def _keep(self, reference, fault):
        raise fault


@dataclass(kw_only=True)
class Stage:
    """A node in the middle of a round, made again when it has answered often enough."""

    folder: object
    """Where homes are made."""
    homes: int = 0
    accepted: int = 0

    def __post_init__(self):
        """Make the first."""
        self.fresh()

    def fresh(self):
        """Make a node that sits in an epoch, answered one round and is asked to confirm it."""
        if self.homes:
            self.rig.close()
        self.homes, self.accepted = self.homes + 1, 0
        self.rig = made = rig.Rig(self.folder / f"node {self.homes}")
        self.offer = made.seats._offer
        made.connection.execute("PRAGMA synchronous=OFF")
        made.replier = Loud(answerer=made.answerer, home=made.home, clock=lambda: made.now)
        announced = rig.announce(rig.request(99), slot=9)
        answer = made.answer(announced)
        self.played = Played(Company(made.deposits), announced, answer)
        self.confirm = self.played.confirm
        made.connection.commit()
        credentials = Credentials(
            federation=rig.NAME,
            member=rig.SITE,
            role=Role.ROLE_NODE,
            address="127.0.0.1:1",
            ca_certificate=b"-",
            certificate=b"-",
            tls_key=b"-",
            identity=rig.key_of(rig.SITE),
            registrar_key=rig.key_of("registrar").public,
        )
        self.signed_roster = rosters.write(rig.roster, rig.key_of("registrar"))
        self.membership = Membership(credentials, made.connection, lambda: made.now, self.signed_roster)

    def play(self, data):
        """Give the node a message as the link does; raise what it would refuse it with."""
        message = CoordinatorMessage.FromString(data)
        kind = message.WhichOneof("kind")
        # An epoch that came after the seat's own would make every freeze of it come too late.
        if self.accepted > MOST_ACCEPTED or (kind == "freeze" and self.rig.answerer.seats._promises.epoch().number > 1):
            self.fresh()
        replier = self.rig.replier
        if kind == "freeze":
            self.rig.seats._offer = self.offer
        if kind == "announcement":
            replies = [replier.reply(message.announcement, rig.roster)]
        elif kind == "release":
            replies = replier.attest([message.release], rig.roster)
        elif kind == "roster":
            self.take(message.roster)
            replies = []
        elif kind in {"open_epoch", "freeze", "confirm", "unmask", "proposal", "heads"}:
            replies = replier.play(message, rig.roster, rig.digest_of(rig.roster))
        else:
            raise Rejected("malformed", "no such kind")
        self.accepted += kind in {"announcement", "proposal", "freeze", "roster"}
        replier.stirred(rig.roster)
        return replies

    def take(self, signed):
        """Hold a roster, then the first one again."""
        try:
            self.membership.take(signed)
        finally:
            self.membership.roster, self.membership._signed = rig.roster, self.signed_roster


def seeds_of(stage):
    """Return messages of each kind that a node takes."""
    message = CoordinatorMessage
    tree, made = tree_of(9), stage.rig
    own = keeper_of(made).checkpoint()
    first = checkpoints.write(of(tree, 4, member="convener", at=rig.NOW), rig.key_of("convener"))
    later = checkpoints.write(of(tree, 9, previous=4, member="convener", at=rig.NOW + 9), rig.key_of("convener"))
    other = checkpoints.write(
        Checkpoint(federation=rig.NAME, member="aden", size=7, root=bytes(32), at=rig.NOW, charges=3),
        rig.key_of("aden"),
    )
    kept = rig.announce(rig.request(99), slot=9)
    confirmation = made.replier.confirm(stage.confirm)[0].confirmation
    unmask = stage.played.unmask(confirmation)
    asked = rig.request(5)
    wide = replace(asked, id=(6).to_bytes(16, "big"), plan=encode(rig.plan(table="visit")), purpose="research")
    return {
        "announcement": [
            message(announcement=rig.announce(rig.request(3), slot=2)),
            message(announcement=rig.announce(wide, slot=3)),
            message(announcement=rig.announce(round_(3), slot=4)),
            message(announcement=kept),
        ],
        "proposal": [
            message(proposal=Proposal(request=requests.write(each, rig.key_of("ada"))))
            for each in (asked, wide, round_(1))
        ],
        "open_epoch": [message(open_epoch=rig.open_epoch(2))],
        "freeze": [message(freeze=rig.freeze_of(1))],
        "confirm": [
            message(confirm=stage.confirm),
            message(confirm=Confirm(announcement=bytes(32), survivors=b"\x0f")),
        ],
        "unmask": [message(unmask=unmask), message(unmask=Unmask())],
        "heads": [
            message(heads=Heads(checkpoints=[first, other])),
            message(heads=Heads(checkpoints=[first, later])),
            message(heads=Heads(checkpoints=[own])),
        ],
        "release": [message(release=_release_of(kept))],
        "roster": [message(roster=rosters.write(replace(rig.roster, version=9), rig.key_of("registrar")))],
    }


def _release_of(announced):
    """Return the coordinator's release of a round."""
    read = announcements.read(announced, roster=rig.roster, now=rig.NOW)
    release = Release(
        id=read.request.id,
        announcement=announced,
        vector=np.ones(2, dtype=np.uint64),
        contributors=rig.HOSPITALS,
        notes={},
        released_at=rig.NOW,
        seconds=1.0,
    )
    return releases.write(release, rig.roster, rig.key_of("convener"))


def parsers(folder):
    """Return the node's parsers."""
    stage = Stage(folder=folder)
    change = as_message(CoordinatorMessage)
    made = [
        Parser(
            name=f"node/{kind.replace('_', '-')}",
            seeds=[each.SerializeToString(deterministic=True) for each in seeds],
            feed=stage.play,
            errors=(Rejected, DecodeError),  # the latter is gRPC's own: such a message never reaches the node
            mutate=change,
        )
        for kind, seeds in seeds_of(stage).items()
    ]
    files = [path.read_bytes() for path in _mappings()]
    return [
        *made,
        *app_messages.parsers(),
        Parser(
            name="node/policy", seeds=[policy.DEFAULT.encode(), rig.POLICY.encode()],
            feed=lambda data: policy.parse(data, "policy.toml"), errors=(PolicyError,), mutate=as_text,
        ),
        Parser(
            name="node/mapping", seeds=files,
            feed=lambda data: read_mapping(data, "mapping.toml"), errors=(SourceError,), mutate=as_text,
        ),
    ]  # fmt: skip


def _mappings():
    root = Path(__file__).resolve().parents[2]
    return [
        root / "docs/examples/hospital/discharge_mapping.toml",
        root / "farr/demo/heart_mapping.toml",
        root / "farr/demo/stroke_mapping.toml",
    ]
