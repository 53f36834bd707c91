"""What is kept for ever: state, ledger, log, promises, and how a lost page is noticed."""
