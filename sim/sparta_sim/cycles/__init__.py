"""Cycle formulas of the core's units, each asserted equal to simulated cycles in the unit's tests."""
