"""A researcher's own Flower app at a hospital: kept by the hash of its code, run where it can do nothing but reply."""
