import pytest

from tests.coordinator.federation import Federation


@pytest.fixture(scope="session")
def federation():
    """One set of keys and certificates for all tests."""
    return Federation()
