"""From a question to an answer: prices, mandates, periods, states, opening a release."""
