"""Compiler passes: graph to program."""

from sparta_hw.passes.pipeline import PIPELINE, compile_graph, compile_model, plan_graph
from sparta_hw.passes.plan import Plan, Range

__all__ = ["PIPELINE", "Plan", "Range", "compile_graph", "compile_model", "plan_graph"]
