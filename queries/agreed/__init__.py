"""What a federation agreed on: the catalogue, its codes and domains, and packs of indicators."""
