"""Code generation: descriptors in the order of the sequencer, weight rows, tables."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sparta_hw.descriptor import Op, encode
from sparta_hw.ir import Graph, Operation, Projection, SpikeCount, SpikingConv
from sparta_hw.passes.layer_fields import layer_fields
from sparta_hw.passes.plan import Plan
from sparta_hw.passes.schedule import descriptors_of, op_of
from sparta_hw.passes.tables import factor_rows, mlp_rows, score_tables
from sparta_hw.passes.token_fields import token_fields
from sparta_hw.passes.weights import weight_rows
from sparta_hw.program import Program
from sparta_hw.tensor_layout import TensorLayout

__all__ = ["EmitProgram"]


@dataclass(frozen=True)
class EmitProgram:
    """Write the program in the order of ARCHITECTURE.md, "Data flow".

    Raises
    ------
    CapacityError
        From :meth:`run`: a number does not fit its descriptor field.
    """

    def run(self, plan: Plan) -> Plan:
        """The plan with its ``program``."""
        graph = plan.graph
        words: list[int] = []
        nodes: list[str] = []
        for op in graph.operations:
            for part, fields in enumerate(_fields(op, plan)):
                node = f"{op.node}[{part}]" if descriptors_of(op) > 1 else op.node
                words.append(encode(op_of(op), node, id=len(words), **fields))
                nodes.append(node)
        words.append(encode(Op.END, graph.name, id=len(words)))
        nodes.append(graph.name)
        layers = [op for op in graph.operations if isinstance(op, SpikingConv | Projection)]
        program = Program(
            name=graph.name,
            config=plan.config,
            descriptors=tuple(words),
            nodes=tuple(nodes),
            weights=np.concatenate([weight_rows(op, plan.tilings[op.node], plan.config) for op in layers]),
            score_tables=score_tables(graph),
            factors=factor_rows(graph),
            mlp=mlp_rows(graph),
            tensors=_written_by(plan),
            input_name=graph.input.name,
            tokens=graph.tokens,
            classes=_classes(graph),
            default_k=graph.default_k,
        )
        return replace(plan, program=program)


def _classes(graph: Graph) -> int:
    """Numbers that the core answers with."""
    return next(
        op.output.shape[0]
        for op in reversed(graph.operations)
        if isinstance(op, SpikeCount) or (isinstance(op, Projection) and op.logits)
    )


def _fields(op: Operation, plan: Plan) -> Iterator[dict[str, int]]:
    if isinstance(op, SpikingConv | Projection):
        yield layer_fields(op, plan)
    else:
        yield from token_fields(op, plan)


def _written_by(plan: Plan) -> dict[str, TensorLayout]:
    """Layouts with the indices of the descriptors that write them.

    What an operation without a descriptor computes is written by the next one that has one, but spikes are counted
    while they are written.
    """
    layouts, pending, at = dict(plan.layouts), [], 0
    for op in plan.graph.operations:
        count = descriptors_of(op)
        if isinstance(op, SpikeCount):
            name = op.output.name
            layouts[name] = replace(layouts[name], descriptors=(at - 1,))
            continue
        pending += _results(op)
        if count:
            for name in pending:
                if name in layouts:
                    layouts[name] = replace(layouts[name], descriptors=tuple(range(at, at + count)))
            pending = []
        at += count
    return layouts


def _results(op: Operation) -> list[str]:
    return [value.name for value in getattr(op, "outputs", (op.output,))]
