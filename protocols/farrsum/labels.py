"""Every label that separates one use of a hash, a key or a nonce from another. None appears twice."""

FREEZE = "farr1/freeze"
CONTEXT = "farr1/context"
EDGE = b"farr1/edge"
PAIRWISE_SEED = b"farr1/pairwise-seed"
EXPAND = b"farr1/expand"
BACKUP = b"farr1/backup"
SEALING = b"farr1/sealing"
PERMUTATION = "farr1/permutation"

SLOT_SHARE = 1
"""Nonce kind of a share of a slot's secret (opened for a hospital that dropped out)."""
SELF_SHARE = 2
"""Nonce kind of a share of a round's self-mask secret (opened for a hospital that is in the sum)."""
