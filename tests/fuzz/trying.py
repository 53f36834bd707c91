"""One input after another into one parser: what came of it, how long it took, and what must never come of it."""

from __future__ import annotations

import hashlib
import resource
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus"

MOST_SECONDS = 3.0
"""Of processor time for one input, so that a loaded machine does not count."""

MOST_BYTES = 512 << 20
"""By which the process may grow over all inputs of a parser."""


class Hung(BaseException):
    """An input took too long. No parser catches it."""


@dataclass(kw_only=True)
class Parser:
    """Something that reads what another party wrote."""

    name: str
    """Package and object, as in ``node/announcement``; also the folder of its corpus."""
    seeds: list[bytes]
    """Inputs that it accepts, or nearly."""
    feed: Callable[[bytes], object]
    """Reads one input; returns for one that is accepted."""
    errors: tuple[type[Exception], ...]
    """What it may raise."""
    mutate: Callable[[object, bytes, list[bytes]], bytes]
    """Makes an input of another, given a mutator and all seeds."""


@dataclass(kw_only=True)
class Found:
    """What came of many inputs."""

    parser: str
    """Its name."""
    inputs: int = 0
    """How many there were."""
    accepted: int = 0
    """How many were taken."""
    refused: int = 0
    """How many were refused with a declared error."""
    slowest: float = 0.0
    """Milliseconds of processor time of the slowest."""
    wrong: list[tuple[bytes, str]] = field(default_factory=list)
    """Inputs that crashed it or hung, each with what happened."""


def corpus_of(name):
    """Return the kept inputs of a parser."""
    folder = CORPUS / name.replace("/", "-")
    return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []


def keep(name, data):
    """Keep an input that broke a parser; return its file."""
    folder = CORPUS / name.replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:16]
    path.write_bytes(data)
    return path


def attempt(parser, found, data):
    """Feed one input and note what came of it."""
    found.inputs += 1
    before = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        parser.feed(data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        found.accepted += 1
    except parser.errors:
        found.refused += 1
    except (Exception, Hung) as fault:  # noqa: BLE001 - any other is what is looked for
        signal.setitimer(signal.ITIMER_PROF, 0)
        found.wrong.append((data, "".join(traceback.format_exception(fault)[-6:])))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    spent = time.process_time() - before
    found.slowest = max(found.slowest, 1000 * spent)


def fuzz(parser, mutator, inputs, *, between=None):
    """Feed a parser its corpus and as many mutated inputs as are wanted."""
    found = Found(parser=parser.name)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = corpus_of(parser.name)
    seeds = [*parser.seeds, *kept]
    with watched():
        for data in seeds:
            attempt(parser, found, data)
        for number in range(inputs):
            data = parser.mutate(mutator, mutator.choose(seeds), seeds)
            attempt(parser, found, data)
            if between and number % 50 == 0:
                between()
            if len(found.wrong) >= 20:
                break
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown
    if grown << 10 > MOST_BYTES:
        found.wrong.append((b"", f"the process grew by {grown >> 10} MiB"))
    return found


class watched:  # noqa: N801 - reads as a word
    """Within, an input that takes longer than MOST_SECONDS raises Hung."""

    def __enter__(self):
        """Listen to the timer."""
        self.before = signal.signal(signal.SIGPROF, self._ring)

    def __exit__(self, *_):
        """Give the signal back."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, self.before)

    def _ring(self, *_):
        raise Hung(f"more than {MOST_SECONDS} s of processor time")


# --- how inputs are made


def as_bytes(mutator, data, seeds):
    """Change bytes."""
    return mutator.bytes(data, seeds)


def as_text(mutator, data, seeds):
    """Change a text."""
    others = [seed.decode(errors="surrogateescape") for seed in seeds]
    text = mutator.text(data.decode(errors="surrogateescape"), others)
    return text.encode(errors="surrogateescape") if mutator.chance(0.98) else mutator.bytes(data, seeds)


def as_json(mutator, data, seeds):
    """Change canonical JSON."""
    return mutator.json(data, seeds)


def as_message(kind):
    """Return what changes a protobuf message of a kind, as a message or, now and then, as bytes."""

    def change(mutator, data, seeds):
        if mutator.chance(0.1):
            return mutator.bytes(data, seeds)
        try:
            message = kind.FromString(data)
        except Exception:  # noqa: BLE001 - a seed of the corpus that is no message
            return mutator.bytes(data, seeds)
        changed = mutator.signed(message) if kind.DESCRIPTOR.name == "Signed" else mutator.message(message)
        return changed.SerializeToString(deterministic=True)

    return change
