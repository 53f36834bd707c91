"""Pictures of answers: the fitting one is chosen by what the answer's columns are. Needs ``farr[plot]``.

    result.plot("mortality.png")

``shape`` decides which picture it is, ``sheet`` is what all of them share, the other modules draw one kind each.
"""
