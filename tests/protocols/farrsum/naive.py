"""The secure sum a second time, from its specification, in plain Python integers.

Nothing here is shared with the package: messages are spelt and read byte by byte, vectors are lists of integers,
polynomials are evaluated as they are written. Slow, and short enough to be checked by eye.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

P = 2**31 - 1
WORD = 2**64
Json = dict[str, Any]


class Refused(Exception):
    """A step is refused with a code."""


def refuse(code: str) -> None:
    """Refuse."""
    raise Refused(code)


# --- hashes, ciphers, fields ---------------------------------------------------------------------------------------


def digest(label: str, *parts: bytes) -> bytes:
    """SHA-256 over the label and the parts, each with its length in eight bytes."""
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in (label.encode(), *parts))).digest()


def prf(key: bytes, text: bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.new(key, text, hashlib.sha256).digest()


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256, RFC 5869."""
    key, block, out = prf(salt, secret), b"", b""
    while len(out) < length:
        block = prf(key, block + info + bytes([len(out) // 32 + 1]))
        out += block
    return out[:length]


def stream(key: bytes, length: int) -> bytes:
    """AES-256 in counter mode from zero."""
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(length))


def xor(one: bytes, other: bytes) -> bytes:
    """Exclusive or."""
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def permutation(seed: bytes, size: int) -> list[int]:
    """Fisher and Yates's shuffle with draws of ChaCha20."""
    source = Cipher(algorithms.ChaCha20(seed, bytes(16)), mode=None).encryptor()
    order = list(range(size))
    for last in reversed(range(1, size)):
        while True:
            draw = int.from_bytes(source.update(bytes(8)), "big")
            if draw < 2**64 - 2**64 % (last + 1):
                break
        order[last], order[draw % (last + 1)] = order[draw % (last + 1)], order[last]
    return order


class Entropy:
    """SHAKE-256 of a label, read from its beginning."""

    def __init__(self, label: str) -> None:
        """Start."""
        self.label, self.at = label.encode(), 0

    def __call__(self, count: int) -> bytes:
        """Read on."""
        self.at += count
        return hashlib.shake_256(self.label).digest(self.at)[self.at - count :]


def uniform(count: int, entropy: Any) -> list[int]:
    """Draw elements; those that equal the prime are drawn again, all together."""

    def numbers(data: bytes) -> list[int]:
        return [int.from_bytes(data[at : at + 4], "little") % 2**31 for at in range(0, len(data), 4)]

    drawn = numbers(entropy(4 * count))
    while P in drawn:
        again = iter(numbers(entropy(4 * drawn.count(P))))
        drawn = [next(again) if each == P else each for each in drawn]
    return drawn


def spell(elements: list[int]) -> bytes:
    """Four bytes each, little endian."""
    return b"".join(element.to_bytes(4, "little") for element in elements)


def spelt(data: bytes) -> list[int]:
    """Read elements back."""
    return [int.from_bytes(data[at : at + 4], "little") % P for at in range(0, len(data), 4)]


def evaluate(coefficients: list[int], point: int) -> int:
    """Evaluate a polynomial, lowest coefficient first."""
    return sum(coefficient * point**degree for degree, coefficient in enumerate(coefficients)) % P


def weights(points: list[int]) -> list[int]:
    """Lagrange's weights at zero."""
    found = []
    for one in points:
        weight = 1
        for other in points:
            if other != one:
                weight = weight * other * pow(other - one, -1, P) % P
        found.append(weight)
    return found


def share_out(secret: list[int], points: int, threshold: int, entropy: Any) -> list[bytes]:
    """Share five limbs; the coefficients come degree by degree."""
    drawn = uniform(5 * (threshold - 1), entropy)
    polynomials = [[secret[limb], *drawn[limb::5]] for limb in range(5)]
    return [spell([evaluate(each, point) for each in polynomials]) for point in range(1, points + 1)]


def combine(points: list[int], shares: list[bytes]) -> list[int]:
    """Return the secret of as many shares as the threshold."""
    rows = [spelt(share) for share in shares]
    at_zero = weights(points)
    return [sum(weight * row[limb] for weight, row in zip(at_zero, rows, strict=True)) % P for limb in range(5)]


def seal_key(key: bytes, kind: int, slot: int, salt: bytes) -> bytes:
    """Return the key of one sealing."""
    return prf(key, b"farr1/sealing" + bytes([kind]) + slot.to_bytes(8, "big") + salt)


def nonce(kind: int, slot: int) -> bytes:
    """Return the nonce of a kind and slot."""
    return bytes([kind, 0, 0, 0]) + slot.to_bytes(8, "big")


def seal(key: bytes, kind: int, slot: int, salt: bytes, *, share: bytes, bound_to: bytes) -> bytes:
    """Seal a share."""
    return AESGCM(seal_key(key, kind, slot, salt)).encrypt(nonce(kind, slot), share, bound_to)


def unseal(key: bytes, kind: int, slot: int, salt: bytes, *, sealed: bytes, bound_to: bytes) -> bytes:
    """Open a sealed share."""
    if len(salt) != 16 or len(sealed) != 36:
        refuse("malformed")
    try:
        return AESGCM(seal_key(key, kind, slot, salt)).decrypt(nonce(kind, slot), sealed, bound_to)
    except InvalidTag:
        raise Refused("bad-share") from None


def mask(seed: bytes, tau: bytes, entries: int) -> list[int]:
    """Return a mask as numbers below 2^64."""
    text = stream(prf(seed, b"farr1/expand" + tau), 8 * entries)
    return [int.from_bytes(text[at : at + 8], "little") for at in range(0, len(text), 8)]


def add(one: list[int], other: list[int], sign: int = 1) -> list[int]:
    """Add or subtract modulo 2^64."""
    return [(a + sign * b) % WORD for a, b in zip(one, other, strict=True)]


# --- messages ------------------------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    """Seven bits a byte, lowest first."""
    out = b""
    while number > 127:
        out += bytes([number % 128 + 128])
        number //= 128
    return out + bytes([number])


def field(tag: int, value: bytes | int) -> bytes:
    """Spell one field of a message; an empty one is left out."""
    if isinstance(value, int):
        return varint(tag * 8) + varint(value) if value else b""
    return varint(tag * 8 + 2) + varint(len(value)) + value if value else b""


def fields(data: bytes) -> list[tuple[int, bytes | int]]:
    """Read the fields of a message."""
    found: list[tuple[int, bytes | int]] = []
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value += (byte % 128) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        head = number()
        if head % 8 == 0:
            found.append((head // 8, number()))
        else:
            length = number()
            found.append((head // 8, data[at : at + length]))
            at += length
    return found


def one(found: list[tuple[int, bytes | int]], tag: int, default: Any) -> Any:
    """Return the value of a field that may be left out."""
    return next((value for each, value in found if each == tag), default)


def signature(seed: bytes, kind: str, federation: str, body: bytes) -> bytes:
    """Sign a body."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(digest("farr1/sig/" + kind, federation.encode(), body))


def check_signature(key: bytes, given: bytes, kind: str, federation: str, body: bytes) -> None:
    """Refuse a signature that does not hold."""
    if len(given) != 64:
        refuse("malformed")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(given, digest("farr1/sig/" + kind, federation.encode(), body))
    except InvalidSignature:
        raise Refused("bad-signature") from None


def bitmap(indexes: list[int], size: int) -> bytes:
    """One bit an index, lowest first."""
    return sum(2**index for index in indexes).to_bytes((size + 7) // 8, "little")


# --- the protocol, for as many hospitals as are all in the committee -----------------------------------------------


def numbers(roster_nodes: int, nodes: int) -> tuple[int, int, int]:
    """Return c, t and Q."""
    c = (roster_nodes + 2) // 3 - 1
    most = (nodes + c) // 2 + 1
    if nodes < 3 or most > nodes:
        refuse("too-few-nodes")
    return c, most, most


def epoch_key(case: Json, public: bytes) -> bytes:
    """Spell the body of an epoch key."""
    return (
        field(1, case["federation"].encode())
        + field(2, case["number"])
        + field(3, public)
        + field(4, bytes.fromhex(case["roster"]))
    )


def read_freeze(case: Json, data: bytes, own: str, own_key: bytes) -> None:
    """Check a freeze."""
    message = fields(data)
    if one(message, 1, 0) != case["number"]:
        refuse("wrong-epoch")
    listed = [fields(value) for tag, value in message if tag == 2 and isinstance(value, bytes)]
    names = [one(each, 3, b"").decode() for each in listed]
    if sorted(set(names)) != names:
        refuse("malformed")
    keys = []
    for name, each in zip(names, listed, strict=True):
        if name not in case["roster_nodes"]:
            refuse("unknown-member")
        body = one(each, 4, b"")
        public = bytes.fromhex(case["roster_nodes"][name])
        check_signature(public, one(each, 5, b""), "epoch-key", case["federation"], body)
        inner = fields(body)
        if one(inner, 2, 0) != case["number"]:
            refuse("wrong-epoch")
        if one(inner, 4, b"") != bytes.fromhex(case["roster"]):
            refuse("stale-roster")
        point = one(inner, 3, b"")
        if len(point) != 32:
            refuse("malformed")
        try:
            X25519PrivateKey.from_private_bytes(b"any" + bytes(29)).exchange(X25519PublicKey.from_public_bytes(point))
        except ValueError:
            raise Refused("malformed") from None
        keys.append(point)
    if len(set(keys)) != len(keys):
        refuse("malformed")
    if dict(zip(names, keys, strict=True)).get(own) != own_key:
        refuse("not-in-freeze")
    numbers(len(case["roster_nodes"]), len(names))


def check_cohort(case: Json, contributors: list[str], minimum: int) -> None:
    """Check an announced round."""
    nodes = len(case["roster_nodes"])
    if set(contributors) - set(case["roster_nodes"]):
        refuse("out-of-scope")
    if len(set(contributors)) < len(contributors):
        refuse("malformed")
    size = len(contributors)
    least = max(numbers(nodes, nodes)[2], (4 * size + 4) // 5 if size > 4 else 3)
    if minimum < least or size < minimum:
        refuse("cohort-too-small")


def context(case: Json, survivors: list[int]) -> bytes:
    """Name a survivor set."""
    size = len(case["hospitals"])
    cohort = [index for index, each in enumerate(case["hospitals"]) if each["name"] in case["vectors"]]
    return digest(
        "farr1/context", bytes.fromhex(case["expected"]["freeze"]), case["slot"].to_bytes(8, "big"),
        bytes.fromhex(case["tau"]), bitmap(cohort, size), bitmap(survivors, size),
    )  # fmt: skip


def confirm(case: Json, sets: list[list[int]], announced: bytes) -> None:
    """Let one witness confirm sets in turn."""
    signed = None
    for survivors in sets:
        cohort = [index for index, each in enumerate(case["hospitals"]) if each["name"] in case["vectors"]]
        if set(survivors) - set(cohort):
            refuse("bad-survivors")
        if len(set(survivors)) < case["minimum"]:
            refuse("too-few")
        if announced != bytes.fromhex(case["tau"]):
            refuse("unknown-round")
        named = context(case, sorted(set(survivors)))
        if signed not in (None, named):
            refuse("slot-used")
        signed = named


def check_quorum(case: Json, confirmations: Json) -> None:
    """Check the signatures of a survivor set."""
    names = list(case["roster_nodes"])
    body = bytes.fromhex(case["expected"]["freeze"]) + bytes.fromhex(case["expected"]["context"])
    for witness, given in confirmations.items():
        if int(witness) >= len(names):
            refuse("bad-quorum")
        key = bytes.fromhex(case["roster_nodes"][names[int(witness)]])
        check_signature(key, bytes.fromhex(given), "confirmation", case["federation"], body)
    if len(confirmations) < numbers(len(names), len(names))[2]:
        refuse("bad-quorum")


def open_box(case: Json, keeper: int, member: int, salt: bytes, sealed: bytes) -> bytes:
    """Open a share as one keeper, of the kind that the survivors call for."""
    low, high = sorted((keeper, member))
    edge = case["expected"]["edges"][f"{low}-{high}"]
    key = bytes.fromhex(edge["upward" if member < keeper else "downward"])
    if member in case["expected"]["survivors"]:
        return unseal(key, 2, case["slot"], salt, sealed=sealed, bound_to=bytes.fromhex(case["tau"]))
    return unseal(key, 1, case["slot"], salt, sealed=sealed, bound_to=bytes.fromhex(case["expected"]["freeze"]))


def check_deposit(case: Json, freeze: bytes, salt: bytes, sealed: bytes, backups: bytes) -> None:
    """Check the sizes of a deposit."""
    others = len(case["hospitals"]) - 1
    if freeze != bytes.fromhex(case["expected"]["freeze"]):
        refuse("wrong-epoch")
    if len(backups) != 32 * others or len(salt) != 16 or len(sealed) != 36 * others:
        refuse("malformed")


def finish(case: Json, answers: Json, backups: Json) -> list[int]:
    """Take the masks off the sum of the uploads."""
    expected, tau = case["expected"], bytes.fromhex(case["tau"])
    size = len(case["hospitals"])
    cohort = [index for index, each in enumerate(case["hospitals"]) if each["name"] in case["vectors"]]
    threshold = numbers(size, size)[1]
    if {int(member) for member in backups} != set(cohort) - set(expected["survivors"]):
        refuse("malformed")
    for keeper, shares in answers.items():
        if int(keeper) >= size:
            refuse("wrong-role")
        if {int(member) for member in shares} != set(cohort) or any(len(share) != 40 for share in shares.values()):
            refuse("malformed")
    keepers = sorted(answers, key=int)[:threshold]
    if len(keepers) < threshold:
        refuse("too-few")
    points = [int(keeper) + 1 for keeper in keepers]
    uploads = [expected["uploads"][str(index)]["vector"] for index in expected["survivors"]]
    entries = len(uploads[0]) // 16
    total = [0] * entries
    for upload in uploads:
        data = bytes.fromhex(upload)
        total = add(total, [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)])
    for member in cohort:
        secret = combine(points, [bytes.fromhex(answers[keeper][str(member)]) for keeper in keepers])
        if member in expected["survivors"]:
            total = add(total, mask(spell(secret), tau, entries), -1)
            continue
        wrapped = bytes.fromhex(backups[str(member)])
        key = prf(spell(secret), b"farr1/backup" + case["slot"].to_bytes(8, "big"))
        seeds = xor(wrapped, stream(key, len(wrapped)))
        for place, partner in enumerate(other for other in range(size) if other != member):
            if partner in expected["survivors"]:
                # The survivor added it if its index is the lower one, else took it away.
                seed = seeds[32 * place : 32 * place + 32]
                total = add(total, mask(seed, tau, entries), -1 if partner < member else 1)
    if total[-2:] != [len(expected["survivors"]), 0]:
        refuse("bad-sum")
    return total[:-2]


def play(case: Json) -> Json:
    """Run a whole round from its inputs; return everything that is written down as expected."""
    tau, slot, size = bytes.fromhex(case["tau"]), case["slot"], len(case["hospitals"])
    seeds = [bytes.fromhex(each["identity"]) for each in case["hospitals"]]
    names = [each["name"] for each in case["hospitals"]]
    entropy = [Entropy(each["entropy"]) for each in case["hospitals"]]
    c, threshold, quorum = numbers(len(case["roster_nodes"]), size)
    everybody = list(range(size))
    cohort = [index for index in everybody if names[index] in case["vectors"]]
    survivors = [index for index in cohort if names[index] not in case["dropped"]]

    private = [X25519PrivateKey.from_private_bytes(draw(32)) for draw in entropy]
    public = [key.public_key().public_bytes_raw() for key in private]
    bodies = [epoch_key(case, key) for key in public]
    keys = [
        {"body": body.hex(), "signature": signature(seed, "epoch-key", case["federation"], body).hex()}
        for seed, body in zip(seeds, bodies, strict=True)
    ]
    listed = [part for name, body in zip(names, bodies, strict=True) for part in (name.encode(), body)]
    frozen = digest(
        "farr1/freeze", case["federation"].encode(), case["number"].to_bytes(8, "big"), bytes.fromhex(case["roster"]),
        b"", *listed,
    )  # fmt: skip

    edges: Json = {}
    for low in everybody:
        for high in everybody[low + 1 :]:
            secret = private[low].exchange(X25519PublicKey.from_public_bytes(public[high]))
            info = b"farr1/edge" + low.to_bytes(4, "big") + high.to_bytes(4, "big")
            derived = hkdf(secret, frozen, info, 96)
            seed = prf(derived[:32], b"farr1/pairwise-seed" + slot.to_bytes(8, "big"))
            edges[f"{low}-{high}"] = {
                "seeds": derived[:32].hex(), "upward": derived[32:64].hex(), "downward": derived[64:].hex(),
                "seed": seed.hex(), "stream": stream(prf(seed, b"farr1/expand" + tau), 32).hex(),
            }  # fmt: skip

    def edge(own: int, other: int) -> Json:
        return edges[f"{min(own, other)}-{max(own, other)}"]

    def sealed_shares(own: int, kind: int, secret: list[int], bound_to: bytes) -> Json:
        shares = share_out(secret, size, threshold, entropy[own])
        salt = entropy[own](16)
        boxes = []
        for other in everybody:
            if other != own:
                key = bytes.fromhex(edge(own, other)["upward" if own < other else "downward"])
                boxes.append(seal(key, kind, slot, salt, share=shares[other], bound_to=bound_to))
        return {
            "secret": secret, "shares": [share.hex() for share in shares], "salt": salt.hex(),
            "sealed": b"".join(boxes).hex(),
        }  # fmt: skip

    deposits = []
    for own in everybody:
        secret = uniform(5, entropy[own])
        made = sealed_shares(own, 1, secret, frozen)
        wrapped = b"".join(bytes.fromhex(edge(own, other)["seed"]) for other in everybody if other != own)
        key = prf(spell(secret), b"farr1/backup" + slot.to_bytes(8, "big"))
        made["backups"] = xor(wrapped, stream(key, len(wrapped))).hex()
        made["message"] = (
            field(1, frozen) + field(2, slot) + field(3, bytes.fromhex(made["salt"]))
            + field(4, bytes.fromhex(made["sealed"])) + field(5, bytes.fromhex(made["backups"]))
        ).hex()  # fmt: skip
        deposits.append(made)

    uploads: Json = {}
    for own in survivors:
        secret = uniform(5, entropy[own])
        vector = [*case["vectors"][names[own]], 1, 0]
        hidden = add(vector, mask(spell(secret), tau, len(vector)))
        for other in cohort:
            if other != own:
                pair = mask(bytes.fromhex(edge(own, other)["seed"]), tau, len(vector))
                hidden = add(hidden, pair, 1 if own < other else -1)
        made = sealed_shares(own, 2, secret, tau)
        made["stream"] = stream(prf(spell(secret), b"farr1/expand" + tau), 32).hex()
        made["vector"] = b"".join(entry.to_bytes(8, "little") for entry in hidden).hex()
        uploads[str(own)] = made

    named = digest("farr1/context", frozen, slot.to_bytes(8, "big"), tau, bitmap(cohort, size), bitmap(survivors, size))
    confirmations = {
        str(index): signature(seed, "confirmation", case["federation"], frozen + named).hex()
        for index, seed in enumerate(seeds)
    }
    answers = {
        str(keeper): {
            str(member): (uploads[str(member)] if member in survivors else deposits[member])["shares"][keeper]
            for member in cohort
        }
        for keeper in everybody
    }
    made = {
        "parameters": [c, threshold, quorum], "keys": keys, "freeze": frozen.hex(), "edges": edges,
        "deposits": deposits, "uploads": uploads, "survivors": survivors, "context": named.hex(),
        "confirmations": confirmations, "answers": answers,
    }  # fmt: skip
    backups = {str(member): deposits[member]["backups"] for member in cohort if member not in survivors}
    return {**made, "sum": finish({**case, "expected": made}, answers, backups)}


def step(case: Json, bad: Json) -> str | None:
    """Try one step of a round; return the code that it is refused with."""
    try:
        if bad["step"] == "freeze":
            read_freeze(case, bytes.fromhex(bad["message"]), bad["own"], bytes.fromhex(bad["own_key"]))
        elif bad["step"] == "cohort":
            check_cohort(case, bad["contributors"], bad["minimum"])
        elif bad["step"] == "confirm":
            confirm(case, bad["sets"], bytes.fromhex(bad.get("announced", case["tau"])))
        elif bad["step"] == "quorum":
            check_quorum(case, bad["confirmations"])
        elif bad["step"] == "box":
            open_box(case, bad["keeper"], bad["member"], bytes.fromhex(bad["salt"]), bytes.fromhex(bad["sealed"]))
        elif bad["step"] == "deposit":
            check_deposit(case, *(bytes.fromhex(bad[part]) for part in ("freeze", "salt", "sealed", "backups")))
        else:
            finish(case, bad["answers"], bad["backups"])
    except Refused as refused:
        return str(refused)
    return None
