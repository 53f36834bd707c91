"""What is read from noised sums: estimates, intervals, figures, and what to expect of them."""
