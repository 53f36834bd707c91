"""What convenes a federation: relays questions to hospitals and sees only the sums of their noisy answers.

The way of a question: ``analysts`` (the edge) -> ``requests`` (its life) -> ``rounds`` (one state value until the sum)
<-> ``nodes`` and ``links`` (the hospitals' streams) -> ``store`` (durable before anyone is told).
"""
