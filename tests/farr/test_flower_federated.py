"""From a verified release of an app's round to what its ServerApp sees, in the app's own units."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from farr.flower.federated import clip_of, outcome
from protocols import ring
from protocols.wire_pb2 import Note
from queries.asked.plan import ONE, Aggregate, AppStep
from queries.models.clipping import BOUND_UPDATE


def opened(vector, *, clip, grid=2, notes=None):
    """Return a release over three hospitals that were asked, of whom two are in the sum, and one that helped."""
    step = AppStep(
        app=bytes(32), message=bytes(32), size=1, kind="train", columns=("age",), entries=len(vector),
        clip=clip_of(clip), seconds=1,
    )  # fmt: skip
    block = SimpleNamespace(entries=len(vector), grid=grid, variance=lambda contributors: contributors * 9.0)
    return SimpleNamespace(
        plan=SimpleNamespace(parts=(SimpleNamespace(aggregates=(Aggregate(statistic="app", step=step),)),)),
        measurement=SimpleNamespace(blocks=(block,)),
        announcement=SimpleNamespace(request=SimpleNamespace(sites=("a", "b", "c"), rho_units=5)),
        release=SimpleNamespace(
            vector=ring.to_ring(np.asarray(vector, dtype=np.int64) * grid),
            contributors=("a", "b", "helper"),
            notes=notes or {},
            id=bytes(16),
        ),
    )


def test_a_sum_becomes_a_mean_in_the_apps_units():
    """A hospital at the clip is one clip; the mean is over those whose records are in the sum."""
    found = outcome(opened([BOUND_UPDATE, -BOUND_UPDATE // 2, 0], clip=3.0))
    assert found.mean == pytest.approx([1.5, -0.75, 0])
    assert found.answered == ("a", "b")
    # Three added noise, two are divided by.
    assert found.noise == pytest.approx(np.sqrt(27) * 3.0 / BOUND_UPDATE / 2)
    assert found.rho_units == 5


def test_a_hospital_that_kept_back_is_not_divided_by():
    """It added zeros, as it says itself."""
    notes = {"b": (Note.NOTE_WITHHELD_POLICY,)}
    found = outcome(opened([BOUND_UPDATE], clip=1.0, notes=notes))
    assert found.answered == ("a",)
    assert found.mean == pytest.approx([1.0])


def test_a_clip_is_never_less_than_what_was_asked_for():
    """Rounded up to the parts in which plans write it."""
    for norm in (1e-4, 0.1, 1.0, np.sqrt(2)):
        assert norm <= clip_of(norm) / ONE < norm + 2 / ONE
