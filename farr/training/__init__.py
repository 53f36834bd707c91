"""Training from the researcher's side: recipes, runs, models and what is told of them."""
