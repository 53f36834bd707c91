"""A priced question as the request that its analyst signs."""

from __future__ import annotations

import secrets

from farr.questions import mandated
from farr.questions.asking import Asking
from protocols import request as requests
from protocols.credentials import Credentials
from protocols.request import Request, Run
from queries.asked.canonical import encode

LIFE = 48 * 3600
"""Seconds for which a request waits for hospitals unless said otherwise."""

AFTER_PATIENCE = 24 * 3600
"""Seconds for which a request lives on when its patience with hospitals that hold it is over."""


def new_id() -> bytes:
    """Return an id that no request has yet."""
    return secrets.token_bytes(requests.ID_BYTES)


def request_of(
    asking: Asking,
    credentials: Credentials,
    identifier: bytes,
    *,
    now: int,
    life: int,
    run: Run | None = None,
) -> Request:
    """Return the request of a question; ``run``: the run of training that it is a round of."""
    terms = asking.terms
    if terms.patience > mandated.PATIENCE:
        life = max(life, min(terms.patience + AFTER_PATIENCE, requests.LONGEST_LIFE))
    return Request(
        federation=credentials.federation,
        id=identifier,
        analyst=credentials.member,
        plan=encode(asking.question.plan),
        view=encode(asking.question.pages),
        rho_units=asking.rho_units,
        sites=asking.question.sites,
        minimum=asking.minimum,
        purpose=terms.purpose,
        created_at=now,
        expires_at=now + life,
        statement=asking.statement,
        fresh=terms.fresh,
        trust=terms.trust,
        reason=terms.reason,
        pack=terms.pack,
        by_residence=terms.by_residence,
        patience=min(terms.patience, life),
        run=run,
    )
