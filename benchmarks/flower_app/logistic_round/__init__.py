"""One round of a logistic regression, for Flower alone."""
