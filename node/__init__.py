"""What runs at a hospital: it holds the records, and may refuse."""
