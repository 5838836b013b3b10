"""Learns from labels which model answers a text well; it knows no fleet, budget or graph."""

from orchestra.routing.learned.fit import fit
from orchestra.routing.learned.policy import Estimate, Evidence, Policy
from orchestra.routing.learned.policy_file import load, save

__all__ = ["Estimate", "Evidence", "Policy", "fit", "load", "save"]
