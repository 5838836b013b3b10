"""Learns from labels which model answers a text well; it knows no fleet, budget or graph."""

from benchmarks.learned.fit import fit
from benchmarks.learned.policy import Estimate, Evidence, Policy
from benchmarks.learned.policy_file import load, save

__all__ = ["Estimate", "Evidence", "Policy", "fit", "load", "save"]
