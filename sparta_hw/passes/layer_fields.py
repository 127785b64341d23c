"""Descriptor fields of the neuron array's layers."""

from sparta_hw.descriptor import Destination
from sparta_hw.ir import Projection, SpikeCount, SpikeCues, SpikingConv, Value
from sparta_hw.passes.plan import Plan
from sparta_hw.tensor_layout import Memory

__all__ = ["cue_bases", "layer_fields"]

_DESTINATIONS = {
    Memory.QUERY: Destination.QUERY,
    Memory.KEY: Destination.KEY,
    Memory.VALUE: Destination.VALUE,
    Memory.RESULTS: Destination.LOGITS,
    Memory.SPIKES: Destination.TOKENS,
}


def layer_fields(op: SpikingConv | Projection, plan: Plan) -> dict[str, int]:
    """Fields of the LAYER descriptor of a convolution or a projection."""
    return _convolution(op, plan) if isinstance(op, SpikingConv) else _projection(op, plan)


def cue_bases(plan: Plan) -> dict[str, int]:
    """First row in the cue memory of each value that has cues, by its name."""
    bases, base = {}, 0
    for op in plan.graph.operations:
        if isinstance(op, SpikeCues):
            bases[op.input.name] = base
            base += op.output.shape[0]
    return bases


def _layer(op: SpikingConv | Projection, source: Value, plan: Plan) -> dict[str, int]:
    """Fields that every layer has."""
    place, result, tiling = plan.layouts[source.name], plan.layouts[op.output.name], plan.tilings[op.node]
    return {
        "shift": op.shift,
        "kernel_height": tiling.kernel_height,
        "slots": tiling.slots,
        "steps": place.steps,
        "groups": place.groups,
        "out_steps": result.steps,
        "out_groups": result.groups,
        "in_base": place.base,
        "out_base": result.base,
        "run": tiling.run,
        "tiles": tiling.tiles,
        "out_pitch": tiling.out_pitch,
        "outputs": len(op.weight),
        "weight_base": tiling.weight_base,
        "weight_pitch": tiling.weight_pitch,
    }


def _convolution(op: SpikingConv, plan: Plan) -> dict[str, int]:
    height, width = op.input.shape[-2:]
    tiling = plan.tilings[op.node]
    pitch = tiling.in_pitch
    row_pitch = width * pitch
    if tiling.kernel_height < op.weight.shape[2]:
        height, row_pitch = 1, height * row_pitch
    counted = any(
        isinstance(other, SpikeCount) and other.input == op.output for other in plan.graph.operations
    )
    bases = cue_bases(plan)
    fields = _layer(op, op.input, plan) | {
        "integer": int(op.direct),
        "direct": int(op.direct),
        "soft": int(op.soft_reset),
        "cues": int(op.output.name in bases),
        "cue_base": bases.get(op.output.name, 0),
        "destination": Destination.COUNTS if counted else Destination.SPIKES,
        "pad": op.pad,
        "in_height": height,
        "row_pitch": row_pitch,
        "out_height": op.output.shape[2],
        "out_width": op.output.shape[3],
        "x_step": op.stride * pitch,
        "y_step": op.stride,
        "x_start": op.pad * pitch,
        "v_reset": op.v_reset,
    }
    if op.feedback is not None:
        fields |= {"feedback_gain": op.feedback.gain, "feedback_limit": op.feedback.limit}
    return fields


def _projection(op: Projection, plan: Plan) -> dict[str, int]:
    """A row of positions under a window of as many rows as there are inputs, one behind the other."""
    source = plan.layouts[op.inputs[0].name]
    return _layer(op, op.inputs[0], plan) | {
        "integer": 1,
        "signed": int(source.type.signed),
        "ranked": int(not op.logits),
        "destination": _DESTINATIONS[plan.layouts[op.output.name].memory],
        "in_height": len(op.inputs),
        "row_pitch": source.positions * source.pitch,
        "out_height": 1,
        "out_width": 1,
        "x_step": source.pitch,
    }
