"""How integers are summed unseen, who is who, what was said.

Pure: no sockets, no patients, no clock, no randomness; entropy and time are arguments. ``rehearsal.py`` runs a whole
round in memory, message by message, and is the specification that the services follow.
"""

from __future__ import annotations

PROTOCOL_VERSION = 1
"""Of the messages and of what they mean. Two sides that speak different versions part with "protocol-version"."""
