"""The SQL subset that Farr answers, read into a question. Runs at the client only: a node never parses SQL.

The way of a statement: ``tokens.py`` refuses what needs no tree, ``parse.py`` makes the tree (sqlglot), ``allowed.py``
holds it against the allow-list, ``reader.py`` goes through the clauses with ``predicates.py``, ``keys.py`` and
``outputs.py``; ``places.py`` says where in the text a refusal points, ``advice.py`` what to do instead.
"""

from queries.sql.reader import read

__all__ = ["read"]
