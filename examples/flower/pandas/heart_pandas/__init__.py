"""Heart disease by decade of age, written with Flower and pandas."""
