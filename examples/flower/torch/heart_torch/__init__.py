"""Heart disease by a small network, written with Flower and PyTorch."""
