"""Heart disease by logistic regression, written with Flower and scikit-learn."""
