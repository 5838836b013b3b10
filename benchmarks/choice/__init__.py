"""Measures the chooser on texts with known categories; `python -m benchmarks.choice --help`."""
