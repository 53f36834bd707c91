"""Models: what a patient adds to a round of training, and how noisy sums become a model. Pure functions of arrays."""
