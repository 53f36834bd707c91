"""The vectors of tests/vectors/farrsum.json, made step by step from entropy that follows from a label.

Run as a script, from the root with the root on the path, it writes the file anew. A changed file is a changed protocol.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from protocols.farrsum import field, labels, sealing, shamir
from protocols.farrsum.beacon import permutation
from protocols.farrsum.epoch import ExchangeKey, freeze, write_key
from protocols.farrsum.masks import expand
from protocols.hashing import digest
from protocols.wire_pb2 import EpochKey, Freeze, Signed

FILE = Path(__file__).resolve().parents[2] / "vectors" / "farrsum.json"

ROUNDS: tuple[dict[str, Any], ...] = (
    {"name": "five hospitals, all answer", "size": 5, "minimum": 4, "outside": [], "dropped": [], "entries": 4},
    {"name": "five hospitals, one drops out", "size": 5, "minimum": 4, "outside": [], "dropped": [3], "entries": 5},
    {"name": "seven hospitals, one not asked, one drops out", "size": 7, "minimum": 5, "outside": [6], "dropped": [0],
     "entries": 3},
)  # fmt: skip

Json = dict[str, Any]


def make(hospitals: ModuleType) -> Json:
    """Return the content of the file."""
    rounds = [_round(hospitals, setting) for setting in ROUNDS]
    return {"primitives": _primitives(), "rounds": rounds, "bad": _bad(hospitals, rounds[1])}


def entropy_of(hospitals: ModuleType, name: str) -> Any:
    """Return a hospital's entropy: SHAKE-256 of a label, read from its beginning."""
    return hospitals.Shake(f"farrsum vectors/{name}")


def vector_of(name: str, entries: int) -> np.ndarray:
    """Return what a hospital contributes: any numbers below 2^64, so that sums wrap around."""
    spelt = b"".join(digest("vector", name.encode(), bytes([place]))[:8] for place in range(entries))
    return np.frombuffer(spelt, dtype="<u8").astype(np.uint64)


def _primitives() -> Json:
    draws = iter([b"\xff\xff\xff\x7f\x01\x00\x00\x80", b"\x02\x00\x00\x00"])
    masked = np.zeros(6, dtype=np.uint64)
    expand(masked, [(b"s" * 32, 1)], b"t" * 32)
    salt, share = bytes(range(16)), bytes(range(20))
    sealed = sealing.seal(b"k" * 32, kind=2, slot=258, salt=salt, share=share, bound_to=b"t" * 32)
    coefficients = [11, 22, 33]
    shares = shamir.share(
        np.array([coefficients[0]]), points=5, threshold=3, entropy=lambda _: field.to_bytes(np.array(coefficients[1:]))
    )
    return {
        "digest": {"label": "farr1/freeze", "parts": ["", "0102", "ff"], "digest": digest(
            "farr1/freeze", b"", b"\1\2", b"\xff").hex()},
        "uniform": {"draws": ["ffffff7f01000080", "02000000"], "elements": field.uniform(
            2, lambda _: next(draws)).tolist()},
        "shares": {"coefficients": coefficients, "points": [1, 2, 3, 4, 5], "values": shares[:, 0].tolist()},
        "weights": {"points": [2, 4, 5], "weights": shamir.weights([2, 4, 5]).tolist()},
        "mask": {"seed": (b"s" * 32).hex(), "tau": (b"t" * 32).hex(), "entries": masked.tolist()},
        "sealed": {"key": (b"k" * 32).hex(), "kind": 2, "slot": 258, "salt": salt.hex(), "share": share.hex(),
                   "bound_to": (b"t" * 32).hex(), "sealed": sealed.hex()},
        "permutation": {"seed": (b"p" * 32).hex(), "order": list(permutation(b"p" * 32, 20))},
    }  # fmt: skip


def _round(hospitals: ModuleType, setting: Json) -> Json:
    size, slot, number = setting["size"], 0x0102030405, 3
    members = hospitals.federation(size)
    world = {
        name: hospitals.Hospital(name=name, federation=members, entropy=entropy_of(hospitals, name))
        for name in members.names
    }
    keys = [hospital.offer(number) for hospital in world.values()]
    frozen = freeze(number, keys)
    for hospital in world.values():
        epoch = hospital.accept(frozen, number=number)
    coordinator = hospitals.Coordinator(hospitals=world, epoch=epoch)
    coordinator.deposit(slot)
    contributors = tuple(name for index, name in enumerate(epoch.members) if index not in setting["outside"])
    announced = hospitals.Announced(slot=slot, contributors=contributors, minimum=setting["minimum"])
    vectors = {name: vector_of(name, setting["entries"]) for name in contributors}
    asked = [epoch.index[name] for name in contributors]
    for hospital in world.values():
        hospital.announce(announced)
    for index in asked:
        if index not in setting["dropped"]:
            coordinator.upload(slot, index, vectors[epoch.members[index]])
    survivors = tuple(index for index in asked if index not in setting["dropped"])
    confirmations = coordinator.confirmations(slot, survivors, coordinator.everybody())
    answers = coordinator.answers(slot, survivors, confirmations, coordinator.everybody())
    total = coordinator.finish(slot, survivors, answers, coordinator.at(0).rounds[slot])
    return {
        "name": setting["name"],
        "federation": members.roster.federation,
        "roster": members.roster_digest.hex(),
        "roster_nodes": {name: key.public.hex() for name, key in members.identities.items()},
        "number": number,
        "slot": slot,
        "tau": announced.tau.hex(),
        "minimum": setting["minimum"],
        "hospitals": [
            {
                "name": name,
                "identity": key.seed.hex(),
                "entropy": world[name].entropy.label.decode(),
            }
            for name, key in members.identities.items()
        ],
        "vectors": {name: vector.tolist() for name, vector in vectors.items()},
        "dropped": [epoch.members[index] for index in setting["dropped"]],
        "expected": {
            "parameters": [epoch.parameters.colluders, epoch.parameters.threshold, epoch.parameters.quorum],
            "keys": [{"body": key.body.hex(), "signature": key.signature.hex()} for key in frozen.keys],
            "freeze": epoch.digest.hex(),
            "edges": _edges(coordinator, slot, announced.tau),
            "deposits": [_deposit(coordinator, slot, index) for index in coordinator.everybody()],
            "uploads": {str(index): _upload(coordinator, slot, index) for index in survivors},
            "survivors": list(survivors),
            "context": hospitals.named(coordinator, slot, survivors).hex(),
            "confirmations": {str(index): signature.hex() for index, signature in confirmations.items()},
            "answers": {
                str(keeper): {str(member): share.hex() for member, share in sorted(shares.items())}
                for keeper, shares in answers.items()
            },
            "sum": total.tolist(),
        },
    }  # fmt: skip


def _edges(coordinator: Any, slot: int, tau: bytes) -> Json:
    found = {}
    for low in coordinator.everybody():
        for high in coordinator.everybody()[low + 1 :]:
            edge = coordinator.at(low).edges[high]
            found[f"{low}-{high}"] = {
                "seeds": edge.seeds.hex(),
                "upward": edge.sending.hex(),
                "downward": edge.receiving.hex(),
                "seed": edge.seed(slot).hex(),
                "stream": _stream(edge.seed(slot), tau),
            }
    return found


def _stream(seed: bytes, tau: bytes) -> str:
    start = np.zeros(4, dtype=np.uint64)
    expand(start, [(seed, 1)], tau)
    return start.astype("<u8").tobytes().hex()


def _deposit(coordinator: Any, slot: int, index: int) -> Json:
    message = coordinator.deposits[slot][index]
    shares = _shares(coordinator, slot, index, labels.SLOT_SHARE)
    return {
        "secret": _secret(coordinator, shares),
        "shares": [share.hex() for share in shares],
        "salt": message.salt.hex(),
        "sealed": message.sealed.hex(),
        "backups": message.backups.hex(),
        "message": message.SerializeToString(deterministic=True).hex(),
    }


def _upload(coordinator: Any, slot: int, index: int) -> Json:
    masked = coordinator.uploads[slot][index]
    shares = _shares(coordinator, slot, index, labels.SELF_SHARE)
    secret = _secret(coordinator, shares)
    return {
        "secret": secret,
        "shares": [share.hex() for share in shares],
        "salt": masked.shares.salt.hex(),
        "sealed": b"".join(masked.shares.sealed.values()).hex(),
        "stream": _stream(field.to_bytes(np.array(secret)), coordinator.at(index).rounds[slot].tau),
        "vector": masked.vector.astype("<u8").tobytes().hex(),
    }


def _shares(coordinator: Any, slot: int, index: int, kind: int) -> list[bytes]:
    own = coordinator.at(index).own[slot]
    survived = kind == labels.SELF_SHARE
    found = []
    for keeper in coordinator.epoch.committee:
        if keeper == index:
            found.append(own.self_share if survived else own.slot_share)
            continue
        salt, sealed = coordinator.sealed(slot, index, keeper, survived=survived)
        bound = coordinator.at(index).rounds[slot].tau if survived else coordinator.epoch.digest
        share = sealing.unseal(
            coordinator.at(keeper).edges[index].receiving,
            kind=kind,
            slot=slot,
            salt=salt,
            sealed=sealed,
            bound_to=bound,
        )
        found.append(share)
    return found


def _secret(coordinator: Any, shares: list[bytes]) -> list[int]:
    threshold = coordinator.epoch.parameters.threshold
    weights = shamir.weights(range(1, threshold + 1))
    rows = np.array([field.from_bytes(share) for share in shares[:threshold]])
    return [int(limb) for limb in shamir.reconstruct(weights, rows)]


def _bad(hospitals: ModuleType, good: Json) -> list[Json]:
    """Return steps with the code that each is refused with, and, before them, the same steps as they should be."""
    found = [*_bad_freezes(hospitals, good), *_bad_rounds(good), *_bad_survivors(good), *_bad_quorums(hospitals, good)]
    return [*found, *_bad_boxes(good), *_bad_deposits(good), *_bad_answers(good)]


def _bad_freezes(hospitals: ModuleType, good: Json) -> list[Json]:
    members = hospitals.federation(5)
    names = members.names
    exchange = {name: ExchangeKey.from_seed(entropy_of(hospitals, name)(32)) for name in names}

    def key(name: str, **changes: Any) -> Signed:
        sound: Json = {
            "number": good["number"], "roster": members.roster, "roster_digest": members.roster_digest, "member": name,
            "key": hospitals.identity(name), "exchange": exchange.get(name),
        }  # fmt: skip
        return write_key(**{**sound, **changes})

    def body(name: str, point: bytes) -> Signed:
        from protocols.signing import sign

        message = EpochKey(
            federation="test", epoch=good["number"], exchange_key=point, roster=members.roster_digest
        ).SerializeToString(deterministic=True)
        return sign(hospitals.identity(name), kind="epoch-key", signer=name, federation="test", body=message)

    keys = [key(name) for name in names]
    other = ExchangeKey.from_seed(b"o" * 32)
    altered = Signed()
    altered.CopyFrom(keys[4])
    altered.signature = keys[3].signature
    freezes = [
        ("as it should be", keys, None),
        ("an older key", [*keys[:4], key(names[4], number=good["number"] - 1)], "wrong-epoch"),
        ("a key for another roster", [*keys[:4], key(names[4], roster_digest=bytes(32))], "stale-roster"),
        ("another's signature", [*keys[:4], altered], "bad-signature"),
        (
            "a key that its hospital did not sign",
            [*keys[:4], key(names[4], key=hospitals.identity("x"))],
            "bad-signature",
        ),
        (
            "an invented member",
            [*keys, key("h00007", key=hospitals.identity("h00007"), exchange=other)],
            "unknown-member",
        ),
        ("a hospital twice", [*keys, key(names[4], exchange=other)], "malformed"),
        ("out of order", [keys[1], keys[0], *keys[2:]], "malformed"),
        ("one key for two", [*keys[:4], key(names[4], exchange=exchange[names[3]])], "malformed"),
        ("a key of small order", [*keys[:4], body(names[4], bytes(32))], "malformed"),
        ("a short key", [*keys[:4], body(names[4], bytes(31))], "malformed"),
        ("the own key left out", keys[1:], "not-in-freeze"),
        ("two hospitals", keys[:2], "too-few-nodes"),
    ]
    found = [
        {"step": "freeze", "case": case, "code": code, "own": names[0], "own_key": exchange[names[0]].public.hex(),
         "message": Freeze(epoch=good["number"], keys=listed).SerializeToString(deterministic=True).hex()}
        for case, listed, code in freezes
    ]  # fmt: skip
    another = Freeze(epoch=good["number"] + 1, keys=keys).SerializeToString(deterministic=True).hex()
    return [*found, {**found[0], "case": "a freeze of another epoch", "code": "wrong-epoch", "message": another}]


def _bad_rounds(good: Json) -> list[Json]:
    names = list(good["roster_nodes"])
    cases = [
        ("as it should be", names, 4, None),
        ("a member outside the freeze", [*names, "h00009"], 4, "out-of-scope"),
        ("a member twice", [*names, names[0]], 4, "malformed"),
        ("a minimum below the quorum", names, 3, "cohort-too-small"),
        ("fewer than the minimum", names[:4], 5, "cohort-too-small"),
        ("a hand-picked cohort", names[:3], 3, "cohort-too-small"),
    ]
    return [
        {"step": "cohort", "case": case, "contributors": contributors, "minimum": minimum, "code": code}
        for case, contributors, minimum, code in cases
    ]


def _bad_survivors(good: Json) -> list[Json]:
    survivors, everybody = good["expected"]["survivors"], list(range(5))
    cases = [
        ("as it should be", [survivors], None),
        ("the same set twice", [survivors, survivors], None),
        ("too few", [survivors[:3]], "too-few"),
        ("one of them twice", [[*survivors[:3], survivors[0]]], "too-few"),
        ("someone outside the cohort", [[*survivors, 5]], "bad-survivors"),
        ("another set after the first", [survivors, everybody], "slot-used"),
    ]
    found = [{"step": "confirm", "case": case, "sets": sets, "code": code} for case, sets, code in cases]
    unknown = {"step": "confirm", "case": "another announcement", "sets": [survivors], "announced": "00" * 32}
    return [*found, {**unknown, "code": "unknown-round"}]


def _bad_quorums(hospitals: ModuleType, good: Json) -> list[Json]:
    from protocols.signing import sign

    signed = good["expected"]["confirmations"]
    body = bytes.fromhex(good["expected"]["freeze"]) + bytes.fromhex(good["expected"]["context"])
    other_kind = sign(hospitals.identity("h00003"), kind="upload", signer="h00003", federation="test", body=body)
    cases = [
        ("as it should be", signed, None),
        ("four of five", {key: signed[key] for key in "0124"}, None),
        ("three of five", {key: signed[key] for key in "012"}, "bad-quorum"),
        ("nobody", {}, "bad-quorum"),
        ("someone who is no witness", {**signed, "5": signed["4"]}, "bad-quorum"),
        ("one signature for two", {**signed, "4": signed["3"]}, "bad-signature"),
        ("a signature of another kind", {**signed, "3": other_kind.signature.hex()}, "bad-signature"),
        ("a short signature", {**signed, "4": signed["4"][2:]}, "malformed"),
    ]
    return [{"step": "quorum", "case": case, "confirmations": given, "code": code} for case, given, code in cases]


def _bad_boxes(good: Json) -> list[Json]:
    """Return boxes that hospital 1 is asked to open; hospital 3 dropped out."""
    expected = good["expected"]

    def box(part: Json, owner: int, keeper: int) -> str:
        place = keeper if keeper < owner else keeper - 1
        return str(part["sealed"][72 * place : 72 * (place + 1)])

    upload, dropped = expected["uploads"]["0"], expected["deposits"][3]
    right = {"member": 0, "salt": upload["salt"], "sealed": box(upload, 0, 1)}
    other = {"member": 3, "salt": dropped["salt"], "sealed": box(dropped, 3, 1)}
    cases = [
        ("a survivor's, as it should be", right, None),
        ("a dropped hospital's, as it should be", other, None),
        ("for another keeper", {**right, "sealed": box(upload, 0, 2)}, "bad-share"),
        ("of another hospital", {**right, "sealed": box(expected["uploads"]["2"], 2, 1)}, "bad-share"),
        ("with another salt", {**right, "salt": dropped["salt"]}, "bad-share"),
        ("of the other kind", {**right, "salt": expected["deposits"][0]["salt"],
                               "sealed": box(expected["deposits"][0], 0, 1)}, "bad-share"),
        ("of zeros", {**right, "sealed": "00" * 36}, "bad-share"),
        ("too short", {**right, "sealed": right["sealed"][2:]}, "malformed"),
        ("with a short salt", {**right, "salt": right["salt"][2:]}, "malformed"),
    ]  # fmt: skip
    return [{"step": "box", "case": case, "keeper": 1, **given, "code": code} for case, given, code in cases]


def _bad_deposits(good: Json) -> list[Json]:
    part = good["expected"]["deposits"][0]
    sound = {
        "freeze": good["expected"]["freeze"],
        "salt": part["salt"],
        "sealed": part["sealed"],
        "backups": part["backups"],
    }
    cases = [
        ("as it should be", {}, None),
        ("of another epoch", {"freeze": "00" * 32}, "wrong-epoch"),
        ("a backup too few", {"backups": part["backups"][64:]}, "malformed"),
        ("a share too many", {"sealed": part["sealed"] + "00" * 36}, "malformed"),
        ("a short salt", {"salt": "00"}, "malformed"),
    ]
    return [{"step": "deposit", "case": case, **(sound | change), "code": code} for case, change, code in cases]


def _bad_answers(good: Json) -> list[Json]:
    expected = good["expected"]
    answers, backups = expected["answers"], {"3": expected["deposits"][3]["backups"]}

    def with_share(keeper: str, member: str, share: str) -> Json:
        return {**answers, keeper: {**answers[keeper], member: share}}

    wrong = "01" + backups["3"][2:] if backups["3"][:2] != "01" else "02" + backups["3"][2:]
    cases: list[tuple[str, Json, Json, str | None]] = [
        ("as it should be", answers, backups, None),
        ("four of five", {key: answers[key] for key in "0124"}, backups, None),
        ("three of five", {key: answers[key] for key in "012"}, backups, "too-few"),
        ("a wrong share of a survivor", with_share("0", "1", "01" * 20), backups, "bad-sum"),
        ("a wrong share of a dropped hospital", with_share("0", "3", "01" * 20), backups, "bad-sum"),
        ("two shares exchanged", with_share("0", "1", answers["0"]["2"]), backups, "bad-sum"),
        ("a short share", with_share("4", "1", "01" * 19), backups, "malformed"),
        ("someone outside the committee", {**answers, "5": answers["0"]}, backups, "wrong-role"),
        ("a hospital missing", {**answers, "1": {key: answers["1"][key] for key in "0234"}}, backups, "malformed"),
        ("a wrong backup", answers, {"3": wrong}, "bad-sum"),
        ("no backup", answers, {}, "malformed"),
    ]
    return [
        {"step": "finish", "case": case, "answers": given, "backups": kept, "code": code}
        for case, given, kept, code in cases
    ]


if __name__ == "__main__":
    import hospitals as own_hospitals  # the folder of a script is on its path

    FILE.write_text(json.dumps(make(own_hospitals), indent=1) + "\n", encoding="utf-8")
