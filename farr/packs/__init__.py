"""The packs of indicators that ship with Farr, as files; docs/indicators.md shows what they ask."""
