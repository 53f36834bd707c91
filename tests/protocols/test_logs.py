import json
import logging

import pytest

from protocols.logs import FIELDS, JsonLines


def line(message="event", extra=None, exc_info=None):
    """Return what is written for a record."""
    logger = logging.getLogger("coordinator.test")
    record = logger.makeRecord("coordinator.test", logging.INFO, "f", 1, message, (), exc_info, extra=extra)
    return JsonLines().format(record)


def test_a_line_is_one_json_object_with_time_level_part_and_event():
    """UTC with milliseconds; Chinese is written as it is."""
    written = json.loads(line("连接", {"peer": "aden"}))
    assert written.keys() == {"time", "level", "part", "event", "peer"}
    assert written["time"].endswith("+00:00")
    assert (written["level"], written["event"], written["peer"]) == ("info", "连接", "aden")
    assert "\n" not in line("two\nlines")


def test_a_field_that_is_not_listed_is_dropped():
    """Even one that somebody adds by mistake, such as a patient's key."""
    written = line(extra={"patient": "P0017", "rows": 12, "code": "budget"})
    assert json.loads(written)["code"] == "budget"
    assert "P0017" not in written
    assert "rows" not in json.loads(written)


def test_an_exceptions_text_is_dropped_and_its_class_kept():
    """An engine's message may quote a value."""
    try:
        int("P0017")
    except ValueError as error:
        written = line("failed", exc_info=(type(error), error, error.__traceback__))
    assert "P0017" not in written
    assert json.loads(written)["error"] == "ValueError"


def test_arguments_of_a_message_are_not_formatted_into_it():
    """The template is the event; what was meant for it stays out."""
    logger = logging.getLogger("node.test")
    record = logger.makeRecord("node.test", logging.WARNING, "f", 1, "rows of %s", ("P0017",), None)
    assert "P0017" not in JsonLines().format(record)


def test_what_a_library_says_is_kept_back():
    """Libraries write values into their messages: asyncio the text of an exception that nobody waited for."""
    lost = "Task exception was never retrieved\nfuture: <Task finished exception=ValueError('P0017')>"
    record = logging.LogRecord("asyncio", logging.ERROR, "/lib/base_events.py", 1871, lost, (), None)
    written = JsonLines().format(record)
    assert "P0017" not in written
    assert (json.loads(written)["part"], json.loads(written)["event"]) == ("asyncio", "base_events:1871")


@pytest.mark.parametrize("value", [1, 1.5, "text", b"bytes", ("a", 1)])
def test_every_listed_field_can_be_written(value):
    """Whatever its type, the line stays JSON."""
    written = json.loads(line(extra=dict.fromkeys(FIELDS, value)))
    assert set(FIELDS) <= written.keys()
