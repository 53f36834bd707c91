"""FarrSum: the secure sum. The coordinator learns the total over one survivor set of a round, and nothing else.

Double masking in the manner of Bonawitz and others (CCS 2017), with keys agreed once per epoch, one-use slots
deposited ahead, and a confirm step before anything is unmasked. In the order of a round:

    parameters  ->  epoch (keys, freeze, edges)  ->  slots (deposit)  ->  masking (upload)
                ->  confirming  ->  unmasking  ->  finishing  (all of it in memory: rehearsal)
"""
