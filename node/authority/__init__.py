"""Who may ask what: policy, rulings, mandates, approvals, newcomers."""
