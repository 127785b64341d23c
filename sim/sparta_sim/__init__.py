"""Measurement: co-simulation, cycle and energy models, synthesis, reports."""
