"""Whether the names in a policy are those of the catalogue: a misspelt one says something else than was meant."""

from __future__ import annotations

from node.authority import finest
from node.authority.policy import FILE, Policy, PolicyError
from queries.agreed.catalogue import Catalogue

_REMEDY = "use the names of `farr catalogue show`"


def check_names(policy: Policy, catalogue: Catalogue, file: str = FILE) -> None:
    """Raise PolicyError for the first table, column, list of codes or level that the catalogue does not have."""
    tables = {table.name: table for table in catalogue.tables}
    for table in policy.tables or ():
        if table not in tables:
            raise PolicyError(f"{table!r} is no table of the catalogue", file=file, key="tables", remedy=_REMEDY)
    for name in policy.columns or ():
        table, _, column = name.partition(".")
        if table not in tables or column not in tables[table].by_name:
            raise PolicyError(f"{name!r} is no column of the catalogue", file=file, key="columns", remedy=_REMEDY)
    finest.check_names(policy, catalogue)
