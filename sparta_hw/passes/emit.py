"""Code generation: one descriptor per step of the sequencer, the weight rows and the score tables."""

from dataclasses import dataclass, replace

import numpy as np

from sparta_hw.descriptor import Destination, Op, encode
from sparta_hw.ir import (
    Operation,
    Projection,
    SparseAttention,
    SpikeCues,
    SpikingConv,
    TokenGate,
    TokenPool,
    TokenScore,
    TopKTokens,
)
from sparta_hw.passes.plan import Plan
from sparta_hw.passes.weights import weight_rows
from sparta_hw.program import Program
from sparta_hw.tensor_layout import Memory

__all__ = ["EmitProgram"]

_DESTINATIONS = {
    Memory.QUERY: Destination.QUERY,
    Memory.KEY: Destination.KEY,
    Memory.VALUE: Destination.VALUE,
    Memory.RESULTS: Destination.LOGITS,
}


@dataclass(frozen=True)
class EmitProgram:
    """Write the program: LAYER per convolution, SELECT, GATE, LAYER x 3, ATTEND, POOL, LAYER, END.

    Raises
    ------
    CapacityError
        From :meth:`run`: a number does not fit its descriptor field.
    """

    def run(self, plan: Plan) -> Plan:
        """The plan with its ``program``."""
        graph = plan.graph
        steps = [(op.node, code) for op in graph.operations if (code := _fields(op, plan)) is not None]
        steps.append((graph.name, (Op.END, {})))
        layers = [op for op in graph.operations if isinstance(op, SpikingConv | Projection)]
        score = next(op for op in graph.operations if isinstance(op, TokenScore))
        program = Program(
            name=graph.name,
            config=plan.config,
            descriptors=tuple(
                encode(op, node, id=at, **values) for at, (node, (op, values)) in enumerate(steps)
            ),
            nodes=tuple(node for node, _ in steps),
            weights=np.concatenate([weight_rows(op, plan.tilings[op.node], plan.config) for op in layers]),
            tables=score.tables,
            tensors=plan.layouts,
            input_name=graph.input.name,
            tokens=graph.tokens,
            classes=layers[-1].output.shape[0],
            default_k=graph.default_k,
        )
        return replace(plan, program=program)


def _fields(op: Operation, plan: Plan) -> tuple[Op, dict[str, int]] | None:
    """Kind and fields of the descriptor of an operation; None when it is part of another one's."""
    match op:
        case SpikingConv():
            return Op.LAYER, _convolution(op, plan)
        case Projection():
            return Op.LAYER, _projection(op, plan)
        case SpikeCues() | TokenScore():
            return None
        case TopKTokens():
            cues = next(other for other in plan.graph.operations if isinstance(other, SpikeCues))
            steps, channels = cues.input.shape[:2]
            return Op.SELECT, {"tokens": plan.graph.tokens, "channels": channels, "steps": steps}
        case TokenGate():
            return Op.GATE, _gate(op, plan)
        case SparseAttention():
            chunks = plan.layouts[op.value.name].pitch // plan.config.lanes
            return Op.ATTEND, {"chunks": chunks, "shift": op.shift, "pool_shift": _pool(plan).attention_shift}
        case TokenPool():
            place = plan.layouts[op.output.name]
            chunks = place.pitch // plan.config.line
            return Op.POOL, {"chunks": chunks, "shift": op.shift, "out_base": place.base}
    raise TypeError(f"{op.node}: no code for {type(op).__name__}")


def _pool(plan: Plan) -> TokenPool:
    return next(op for op in plan.graph.operations if isinstance(op, TokenPool))


def _layer(op: SpikingConv | Projection, plan: Plan) -> dict[str, int]:
    """Fields that every layer has."""
    source, tiling = plan.layouts[op.input.name], plan.tilings[op.node]
    return {
        "shift": op.shift,
        "kernel_height": tiling.kernel_height,
        "steps": source.steps,
        "groups": source.groups,
        "in_base": source.base,
        "out_base": plan.layouts[op.output.name].base,
        "run": tiling.run,
        "tiles": tiling.tiles,
        "out_pitch": tiling.out_pitch,
        "outputs": len(op.weight),
        "weight_base": tiling.weight_base,
        "weight_pitch": tiling.weight_pitch,
    }


def _convolution(op: SpikingConv, plan: Plan) -> dict[str, int]:
    _, _, height, width = op.input.shape
    pitch = plan.tilings[op.node].in_pitch
    tokens = any(isinstance(other, SpikeCues) and other.input == op.output for other in plan.graph.operations)
    return _layer(op, plan) | {
        "soft": int(op.soft_reset),
        "cues": int(tokens),
        "destination": Destination.SPIKES,
        "pad": op.pad,
        "in_height": height,
        "row_pitch": width * pitch,
        "out_height": op.output.shape[2],
        "out_width": op.output.shape[3],
        "x_step": op.stride * pitch,
        "y_step": op.stride,
        "x_start": op.pad * pitch,
        "v_reset": op.v_reset,
    }


def _projection(op: Projection, plan: Plan) -> dict[str, int]:
    """A window of one row; gathered layers have one input row a token."""
    source = plan.layouts[op.input.name]
    return _layer(op, plan) | {
        "integer": 1,
        "signed": int(op.input.type.signed),
        "gather": int(op.index is not None),
        "destination": _DESTINATIONS[plan.layouts[op.output.name].memory],
        "in_height": source.positions,
        "row_pitch": source.pitch,
        "out_height": 1,
        "out_width": 1,
    }


def _gate(op: TokenGate, plan: Plan) -> dict[str, int]:
    source, target = plan.layouts[op.input.name], plan.layouts[op.output.name]
    return {
        "tokens": plan.graph.tokens,
        "chunks": source.pitch // plan.config.line,
        "groups": source.groups,
        "in_base": source.base,
        "out_base": target.base,
        "gain_selected": op.alpha,
        "gain_other": op.beta,
        "shift": op.shift,
        "pool_shift": _pool(plan).token_shift,
    }
