"""Survival from exits: how many patients left observation in each band of time, by an event or otherwise.

Pure functions on arrays of noisy counts. Everything is derived from exits, of which a patient has one: how many are at
risk in a band is the sum of all later exits, so its noise is known and so are its covariances.
"""
