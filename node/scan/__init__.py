"""From a plan to an exact tally: what is compiled, and what the engine runs."""
