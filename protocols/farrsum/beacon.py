"""The public beacon that draws the committee above 150 hospitals: an interface, and the draw itself.

A beacon value must be verified (a drand round, a NIST 2.0 pulse) and must be later than the freeze, so that nobody can
choose keys, or who takes part, to suit the draw. Without one, everybody is in the committee up to 512 hospitals; beyond
that the sum is refused (``parameters.parameters``).
"""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms


class Beacon(Protocol):
    """A source of public randomness."""

    def pulse(self, not_before: int) -> bytes | None:
        """Return the first value made at or after ``not_before`` (seconds since 1970, UTC), verified; None: none yet.

        Exactly the first: whoever may choose among several valid values draws again until the committee suits it.
        """


def permutation(seed: bytes, size: int) -> tuple[int, ...]:
    """Return a permutation of ``range(size)`` that is uniform for a uniform 32-byte seed (Fisher-Yates, ChaCha20)."""
    stream = Cipher(algorithms.ChaCha20(seed, bytes(16)), mode=None).encryptor()
    order = list(range(size))
    for last in range(size - 1, 0, -1):
        # Numbers at or above the largest multiple are drawn again, so no place is likelier than another.
        limit = (1 << 64) // (last + 1) * (last + 1)
        draw = limit
        while draw >= limit:
            draw = int.from_bytes(stream.update(bytes(8)), "big")
        chosen = draw % (last + 1)
        order[last], order[chosen] = order[chosen], order[last]
    return tuple(order)
