"""What an analyst knows of hospitals: what each said of itself, as the coordinator passed it on."""

from datetime import date

import pytest

from farr import federation
from protocols.errors import Rejected
from protocols.wire_pb2 import LoadedThrough
from tests.farr import harbour


@pytest.fixture
def said(tmp_path):
    """A home, and what the coordinator says of the federation."""
    return harbour.home(tmp_path), harbour.description()


def test_the_day_to_which_a_table_is_complete_is_known_by_hospital(said, tmp_path):
    """Whoever said nothing has no day."""
    held, description = said
    description.nodes[0].status.loaded.append(LoadedThrough(table="stay", day="2026-10-31"))
    hospitals = {each.id: each for each in federation.read(description, held, tmp_path).hospitals}
    first = description.nodes[0].site
    assert hospitals[first].loaded == {"stay": date(2026, 10, 31)}
    assert all(not each.loaded for each in hospitals.values() if each.id != first)


def test_a_day_that_is_none_is_refused(said, tmp_path):
    """A coordinator passes on days or is not believed at all."""
    held, description = said
    description.nodes[0].status.loaded.append(LoadedThrough(table="stay", day="soon"))
    with pytest.raises(Rejected, match="malformed"):
        federation.read(description, held, tmp_path)
