"""Measures the models of a fleet on questions with known answers."""
