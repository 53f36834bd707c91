"""The announcement of a round, from a question and the hospitals that are ready."""

from __future__ import annotations

import math
from collections.abc import Collection

from coordinator.questions import Question
from coordinator.seated import SeatedEpoch
from protocols import announcement as announcements
from protocols import request as requests
from protocols.announcement import LONGEST_ROUND, Announcement
from protocols.farrsum.parameters import honest, least_survivors
from protocols.signing import IdentityKey
from protocols.wire_pb2 import Signed


def announce(
    question: Question, *, seated: SeatedEpoch, key: IdentityKey, cohort: Collection[str], now: float, seconds: float
) -> tuple[Announcement, Signed]:
    """Open the next slot of an epoch for a question; uploads are awaited for ``seconds``.

    The numbers are those that each hospital computes for itself; it refuses others. Raises Rejected where the request
    is no longer good.
    """
    epoch, roster = seated.epoch, seated.roster
    asked = requests.read(question.signed, roster=roster, now=int(now))
    # A request that bears fewer absences has more honest shares to rely on, and so less noise.
    minimum = least_survivors(epoch.parameters, len(cohort), asked.minimum)
    announcement = Announcement(
        request=asked,
        signed_request=question.signed,
        roster=roster.version,
        epoch=epoch.number,
        freeze=epoch.digest,
        slot=seated.next,
        contributors=tuple(sorted(cohort)),
        minimum=minimum,
        colluders=asked.trust.colluders(len(roster.nodes)),
        honest=honest(minimum, asked.trust, len(roster.nodes)),
        # No hospital answers a request that is past its time, or a round that is open for longer than any may be.
        deadline=min(math.ceil(now + min(seconds, LONGEST_ROUND)), asked.expires_at),
    )
    return announcement, announcements.write(announcement, roster, key)
