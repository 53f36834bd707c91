"""What it costs: tally, sensitivity, noise, accounting."""
