"""The compiler: one explicit list of passes, and a verifier between them."""

from pathlib import Path

from sparta_hw.config import CoreConfig
from sparta_hw.ir import Graph
from sparta_hw.onnx_import import import_model
from sparta_hw.passes.allocate import AllocateTensors
from sparta_hw.passes.capacity import CheckCapacity
from sparta_hw.passes.emit import EmitProgram
from sparta_hw.passes.plan import Pass, Plan
from sparta_hw.passes.ranges import AnalyseRanges
from sparta_hw.passes.tile import TileLayers
from sparta_hw.program import Program
from sparta_hw.verifier import verify

__all__ = ["PIPELINE", "compile_graph", "compile_model", "plan_graph"]

PIPELINE: tuple[Pass, ...] = (
    CheckCapacity(),
    AnalyseRanges(),
    TileLayers(),
    AllocateTensors(),
    EmitProgram(),
)


def plan_graph(graph: Graph, config: CoreConfig) -> Plan:
    """Run all passes; the plan has the graph, its range report, tilings, layouts and program.

    Raises
    ------
    UnsupportedError
        The graph breaks a rule of the IR.
    CapacityError
        The network, or a number in it, does not fit the core.
    """
    plan = Plan(graph=graph, config=config)
    verify(plan.graph)
    for step in PIPELINE:
        plan = step.run(plan)
        verify(plan.graph)
    return plan


def compile_graph(graph: Graph, config: CoreConfig) -> Program:
    """The program of :func:`plan_graph`, with its errors."""
    program = plan_graph(graph, config).program
    if program is None:
        raise TypeError("the pipeline ends without a program")
    return program


def compile_model(model: str | Path | Graph, config: CoreConfig) -> Program:
    """The program of an ONNX file, or of a graph, for one core.

    Raises
    ------
    InputFileError, UnsupportedError, CapacityError
        The file, the network, or its size cannot be handled; see :func:`~sparta_hw.onnx_import.import_model`
        and :func:`plan_graph`.
    """
    return compile_graph(model if isinstance(model, Graph) else import_model(model), config)
