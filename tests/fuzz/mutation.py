"""Small seeded mutations of bytes, text, JSON and protobuf messages; of the latter what is signed is signed again.

A random change to a signed message is refused at its signature, so the checks behind it would never be reached. Here
the body is changed as what it is and signed anew with its signer's own key: the sender is a member that lies.
"""

from __future__ import annotations

import json
import random

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError

from protocols import wire_pb2
from protocols.signing import IdentityKey, sign
from protocols.wire_pb2 import Signed

BODIES = {
    "request": wire_pb2.Request,
    "announcement": wire_pb2.Announcement,
    "upload": wire_pb2.Upload,
    "release": wire_pb2.Release,
    "roster": wire_pb2.Roster,
    "epoch-key": wire_pb2.EpochKey,
    "checkpoint": wire_pb2.Checkpoint,
    "witness": wire_pb2.Witness,
}
"""What is inside a signed object, by its kind."""

SIGNED_BYTES = {("Announcement", "request"), ("Release", "announcement")}
"""Fields of bytes that hold a signed object."""

EXTREMES = (
    0, 1, 2, 3, 7, 31, 32, 33, 63, 64, 127, 128, 255, 256, 1000, 65535, 65536, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
    1 << 32, 1 << 40, 1 << 50, 1 << 53, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1_800_000_000,
)  # fmt: skip

TEXTS = (
    "", " ", "a", "A", "-", "..", "../../etc", "a" * 64, "a" * 65, "x" * 70_000, "\x00", "\n", "\r\n", "\ufeff",
    "\u202e", "é", "e\u0301", "\u0130", "ß", "天津", "😀", "\U000e0001", "�", "%s%n", "{}", "{0.__class__}",
    "'; DROP TABLE charges", "<script>", "NaN", "Infinity", "1e999", "-0", "0x10",
    "aden", "brest", "stay", "test", "null", "true",
)  # fmt: skip

LENGTHS = (0, 1, 15, 16, 17, 31, 32, 33, 36, 52, 64, 65, 1000, 1 << 16)

TOKENS = (
    "0", "-1", "1.5", "1e400", "-1e-400", "nan", "inf", "-inf", "99999999999999999999",
    "9" * 5000, "1_0", "0x7f",
    "true", "false", '""', "''", '"é"', '"a.b"', "[]", "{}", "[[]]",
    "[" * 1200, "{a=" * 1200, "]", "}", "=", ".", ",",
    "2026-02-30", "2026-10-31", "0000-01-01", "9999-12-31T23:59:60Z",
    "07:32:00", '"""', "'''", "#", "\\", '"\\u0000"',
    '"\\ud800"', "(" * 1200, ")", "NOT " * 600, "1+" * 2000, "- " * 1500, "*", ";", "--", "/*", "'", '"', "\x00",
    "\ufeff", "CASE", "NULL", "IN (1,2,3)", "BETWEEN 5 AND 1", "COUNT(*)", "SELECT",
    "FROM", "GROUP BY", "site", "\u2028", "😀",
)  # fmt: skip


class Mutator:
    """Changes one input into another; the same seed gives the same changes."""

    def __init__(self, seed, *, key_of=None, federation="harbour"):
        """Draw from this seed; ``key_of`` gives the signing key of a member by its id."""
        self.random = random.Random(seed)  # noqa: S311
        self.key_of = key_of
        self.federation = federation

    def choose(self, values):
        """Return one of some values."""
        return self.random.choice(values)

    def chance(self, part):
        """Return True in this part of all cases."""
        return self.random.random() < part

    # --- bytes and text

    def bytes(self, data, others=()):
        """Return changed bytes: flips, extremes, cuts, repeats, splices with other inputs."""
        data = bytearray(data)
        for _ in range(self.random.choice((1, 1, 1, 2, 3, 8))):
            at = self.random.randrange(len(data) + 1)
            end = min(len(data), at + self.random.choice((1, 1, 2, 4, 8, 32, 200)))
            way = self.random.randrange(9)
            if way == 0 and data:
                data[min(at, len(data) - 1)] ^= 1 << self.random.randrange(8)
            elif way == 1:
                data[at:end] = self.random.randbytes(end - at)
            elif way == 2:
                del data[at:end]
            elif way == 3:
                del data[at:]
            elif way == 4:
                data[at:at] = data[at:end] * self.random.choice((1, 2, 50))
            elif way == 5:
                data[at:at] = self.random.randbytes(self.random.choice((1, 2, 8, 300)))
            elif way == 6:
                number = self.choose(EXTREMES)
                data[at:end] = number.to_bytes(8, self.choose(("big", "little")))
            elif way == 7:
                data[at:end] = b"\xff" * self.random.choice((1, 5, 10))
            elif others:
                other = self.choose(others)
                start = self.random.randrange(len(other) + 1)
                data[at:end] = other[start : start + self.random.randrange(1, 400)]
        return bytes(data)

    def text(self, text, others=()):
        """Return changed text: words and lines dropped, doubled, exchanged, spliced, or made extreme."""
        if self.chance(0.1):
            return self.bytes(text.encode(), [other.encode() for other in others]).decode(errors="surrogateescape")
        for _ in range(self.random.choice((1, 1, 2, 4))):
            parts = text.split("\n") if self.chance(0.5) else _words(text)
            joint = "\n" if "\n" in text and len(parts) == text.count("\n") + 1 else ""
            at = self.random.randrange(len(parts))
            way = self.random.randrange(7)
            if way == 0:
                del parts[at]
            elif way == 1:
                parts.insert(at, parts[at])
            elif way == 2:
                other = self.random.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
            elif way == 3:
                parts[at] = self.choose(TOKENS)
            elif way == 4:
                parts.insert(at, self.choose(TOKENS))
            elif way == 5:
                parts[at] = self.choose(TEXTS)
            elif others:
                pieces = _words(self.choose(others))
                start = self.random.randrange(len(pieces))
                parts[at : at + 1] = pieces[start : start + self.random.randrange(1, 12)]
            text = joint.join(parts)
        return text

    # --- JSON

    def json(self, data, others=()):
        """Return canonical JSON with changed values; now and then bytes that are none."""
        if self.chance(0.1):
            return self.bytes(data, others)
        try:
            plain = json.loads(data)
            pool = [json.loads(other) for other in self.random.sample(others, min(3, len(others)))] or [plain]
        except (ValueError, RecursionError):
            return self.bytes(data, others)
        for _ in range(self.random.choice((1, 1, 2, 3))):
            plain = self._json(plain, pool)
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")

    def _json(self, plain, pool):
        places = list(_places(plain))
        if not places:
            return self._value(plain, pool)
        holder, key = self.choose(places)
        way = self.random.randrange(6)
        if way == 0:
            del holder[key]
        elif way == 1 and isinstance(holder, list):
            holder[key:key] = [holder[key]] * self.random.choice((1, 1, 30))
        elif way == 2:
            found = [(other, at) for other, at in _places(self.choose(pool)) if isinstance(at, str) and at == key]
            other, at = self.choose(found or list(_places(self.choose(pool))) or [(holder, key)])
            holder[key] = json.loads(json.dumps(other[at]))
        elif way == 3:
            for _ in range(self.random.choice((1, 3, 200))):
                holder[key] = [holder[key]] if self.chance(0.5) else {"is": "Not", "term": holder[key]}
        else:
            holder[key] = self._value(holder[key], pool)
        return plain

    def _value(self, value, pool):
        if isinstance(value, bool):
            return self.choose((not value, 0, 1, None))
        if isinstance(value, int):
            near = value + self.random.randint(-2, 2)
            return self.choose((near, -value, 2 * value, self.choose(EXTREMES), -self.choose(EXTREMES), 10**300, 1.5))
        if isinstance(value, str):
            return self.choose((self.text(value, ()) if value else "a", self.choose(TEXTS), value * 2, 7, "0001-01-01"))
        return self.choose((None, [], {}, 0, "x", True))

    # --- protobuf

    def message(self, message, others=()):
        """Return a changed copy of a message; signed parts are changed inside and signed again."""
        changed = type(message)()
        changed.CopyFrom(message)
        for _ in range(self.random.choice((1, 1, 1, 2, 4))):
            self._field(changed, others)
        return changed

    def signed(self, signed):
        """Return a signed object with another body, signed again; one time in four with a broken frame."""
        kind = BODIES.get(signed.kind)
        if kind is None or self.key_of is None or self.chance(0.25):
            frame = Signed()
            frame.CopyFrom(signed)
            self._plain(frame, self.choose(frame.DESCRIPTOR.fields))
            return frame
        try:
            body = self.message(kind.FromString(signed.body)).SerializeToString(deterministic=True)
        except DecodeError:
            body = self.bytes(signed.body)
        if self.chance(0.05):
            body = self.bytes(body)
        key = self.key_of(signed.signer)
        return sign(key, kind=signed.kind, signer=signed.signer, federation=self.federation, body=body)

    def _field(self, message, others):
        if message.DESCRIPTOR.name == "Signed":
            message.CopyFrom(self.signed(message))
            return
        if self.chance(0.03):
            self._unknown(message)
            return
        held = [field for field, _ in message.ListFields()]
        field = self.choose(held) if held and self.chance(0.85) else self.choose(message.DESCRIPTOR.fields)
        self._plain(message, field)

    def _plain(self, message, field):
        if _is_map(field) or (field.containing_oneof and not message.HasField(field.name)):
            if _is_map(field):
                getattr(message, field.name)[self.choose(TEXTS)[:80]] = self.choose(TEXTS)
            return
        if field.is_repeated:
            self._repeated(message, field)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            if self.chance(0.08):
                message.ClearField(field.name)
            else:
                self._field(getattr(message, field.name), ())
        else:
            setattr(message, field.name, self._scalar(field, getattr(message, field.name), message.DESCRIPTOR.name))

    def _repeated(self, message, field):
        values = getattr(message, field.name)
        way = self.random.randrange(7)
        if not len(values):
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                values.add()
            else:
                values.append(self._scalar(field, _zero(field), message.DESCRIPTOR.name))
            return
        at = self.random.randrange(len(values))
        if way == 0:
            del values[at]
        elif way == 1:
            kept = list(values)
            self.random.shuffle(kept)
            self._refill(values, kept, field)
        elif way == 2:
            kept = list(values)
            self._refill(values, [*kept[:at], *[kept[at]] * self.random.choice((2, 2, 300)), *kept[at:]], field)
        elif way == 3 and self.chance(0.3):
            message.ClearField(field.name)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            self._field(values[at], ())
        else:
            values[at] = self._scalar(field, values[at], message.DESCRIPTOR.name)

    def _refill(self, values, kept, field):
        copies = kept
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            copies = [type(each).FromString(each.SerializeToString()) for each in kept]
        del values[:]
        values.extend(copies)

    def _scalar(self, field, value, owner):
        kind = field.type
        if kind == FieldDescriptor.TYPE_BOOL:
            return not value
        if kind == FieldDescriptor.TYPE_STRING:
            return self.choose((self.choose(TEXTS), value[:-1], value + "x", value.upper(), value * 2, value[::-1]))
        if kind == FieldDescriptor.TYPE_BYTES:
            if (owner, field.name) in SIGNED_BYTES and value and self.chance(0.8):
                try:
                    return self.signed(Signed.FromString(value)).SerializeToString(deterministic=True)
                except DecodeError:
                    return self.bytes(value)
            if value[:1] == b"{" and self.chance(0.8):
                return self.json(value)
            wanted = self.choose(LENGTHS)
            return self.choose(
                (self.bytes(value), self.bytes(value), self.random.randbytes(wanted), bytes(wanted), b"")
            )
        if kind in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
            return self.choose((0.0, -1.0, 1e308, float("nan"), float("inf"), float("-inf")))
        low, high = _LIMITS[kind]
        near = value + self.random.randint(-2, 2)
        return min(high, max(low, self.choose((near, near, self.choose(EXTREMES), -self.choose(EXTREMES), 2 * value))))

    def _unknown(self, message):
        tag = self.random.choice((15, 99, 1000, (1 << 29) - 1)) << 3
        tail = _varint(tag | 2) + _varint(4) + b"more" if self.chance(0.7) else _varint(tag) + _varint(1 << 63)
        message.MergeFromString(tail)


def key_of_seed(seed_of):
    """Return what gives a member's key from what gives its seed."""
    return lambda name: IdentityKey.from_seed(seed_of(name))


_LIMITS = {
    FieldDescriptor.TYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_ENUM: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_UINT64: (0, (1 << 64) - 1),
}


def _is_map(field):
    return field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.GetOptions().map_entry


def _zero(field):
    return {FieldDescriptor.TYPE_STRING: "", FieldDescriptor.TYPE_BYTES: b""}.get(field.type, 0)


def _varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _words(text):
    """Return the words of a text and what stands between them; joined they are the text."""
    words, word = [], ""
    for character in text:
        if character.isalnum() or character in "_.":
            word += character
        else:
            words += [word, character] if word else [character]
            word = ""
    return [*words, word] if word or not words else words


def _places(plain):
    """Yield every value of a JSON document as what holds it and where."""
    waiting = [plain]
    while waiting:
        holder = waiting.pop()
        found = list(holder.items()) if isinstance(holder, dict) else list(enumerate(holder))
        for key, value in found:
            yield holder, key
            if isinstance(value, (dict, list)):
                waiting.append(value)
