"""Measurements of speed and size, as ratios against the bare engine in the same run: ``python -m benchmarks --help``."""
