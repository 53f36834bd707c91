"""What may be asked of a federation, and what it costs.

Pure: no I/O, no keys, no clock, no randomness. The way of a question through this package:

    sql / build  ->  plan  ->  tally (layout, sensitivity)  ->  measurement  ->  estimate  ->  select
"""
