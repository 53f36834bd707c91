"""Edges: the keys that two hospitals share for an epoch, and the seeds that follow from them for each slot."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocols.errors import Rejected
from protocols.farrsum import labels
from protocols.farrsum.epoch import Epoch, ExchangeKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What one hospital shares with one partner during an epoch. In memory only.

    Guarantee: no key shows in the text form of the value, so none reaches a log or a traceback. Test:
    tests/protocols/farrsum/test_epoch.py::test_no_secret_shows_in_the_text_form_of_a_value.
    """

    seeds: bytes = field(repr=False)
    """Key of the pairwise seeds."""
    sending: bytes = field(repr=False)
    """Seals what goes to the partner."""
    receiving: bytes = field(repr=False)
    """Opens what comes from the partner."""

    def seed(self, slot: int) -> bytes:
        """Return the seed of the pairwise mask of one slot; it opens no other slot."""
        return hmac.digest(self.seeds, labels.PAIRWISE_SEED + slot.to_bytes(8, "big"), "sha256")


def edges(epoch: Epoch, own: int, exchange: ExchangeKey) -> Mapping[int, Edge]:
    """Derive the edge to each partner of the hospital with index ``own``: one exchange each, once an epoch.

    Guarantee: both ends derive the same keys, bound to the frozen list; a partner key that forces a constant secret is
    refused. Test: tests/protocols/farrsum/test_epoch.py::test_a_partner_key_of_small_order_is_refused.
    """
    return {partner: _edge(epoch, own, partner, exchange) for partner in epoch.partners(own)}


def _edge(epoch: Epoch, own: int, partner: int, exchange: ExchangeKey) -> Edge:
    try:
        secret = exchange.private.exchange(X25519PublicKey.from_public_bytes(epoch.exchange_keys[partner]))
    except ValueError as error:
        raise Rejected("malformed", "exchange key") from error
    low, high = sorted((own, partner))
    info = labels.EDGE + low.to_bytes(4, "big") + high.to_bytes(4, "big")
    keys = HKDF(algorithm=SHA256(), length=96, salt=epoch.digest, info=info).derive(secret)
    upward, downward = keys[32:64], keys[64:]
    if own == low:
        return Edge(seeds=keys[:32], sending=upward, receiving=downward)
    return Edge(seeds=keys[:32], sending=downward, receiving=upward)


def sign_of(own: int, partner: int) -> int:
    """Return the sign of a pairwise mask at one end; the other end has the opposite one, so the two cancel."""
    return 1 if own < partner else -1
