"""Which descriptor produces which tensor."""

from dataclasses import dataclass

from sparta_hw.descriptor import Destination, Op, decode
from sparta_hw.errors import ConfigError
from sparta_hw.ir import Kind
from sparta_hw.program import Program
from sparta_hw.tensor_layout import Memory, TensorLayout

__all__ = ["Produced", "layer_inputs", "produced_tensors"]

_MEMORIES = {
    Destination.QUERY: Memory.QUERY,
    Destination.KEY: Memory.KEY,
    Destination.VALUE: Memory.VALUE,
    Destination.LOGITS: Memory.RESULTS,
}


@dataclass(frozen=True)
class Produced:
    """A tensor and its origin: index of the descriptor, and the ONNX node behind it."""

    layout: TensorLayout
    descriptor: int
    node: str


def produced_tensors(program: Program) -> list[Produced]:
    """All tensors that the core produces, in the order in which it does.

    Raises
    ------
    ConfigError
        A tensor of the program is produced by none of its descriptors, or a descriptor produces none.
    """
    left = [layout for name, layout in program.tensors.items() if name != program.input_name]
    found: list[Produced] = []

    def take(index: int, memory: Memory, base: int = 0, kind: Kind | None = None, rank: int = 0) -> None:
        for layout in left:
            fits = kind is None or (layout.base == base and layout.kind is kind and len(layout.shape) == rank)
            if layout.memory is memory and fits:
                found.append(Produced(layout, index, program.nodes[index]))
                left.remove(layout)
                return
        raise ConfigError(
            f"{program.nodes[index]}: the program has no tensor for what descriptor {index} produces"
        )

    for index, word in enumerate(program.descriptors):
        fields = decode(word)
        match fields["op"]:
            case Op.LAYER if fields["destination"] == Destination.SPIKES:
                take(index, Memory.SPIKES, fields["out_base"], Kind.SPIKES, 4)
            case Op.LAYER:
                take(index, _MEMORIES[Destination(fields["destination"])])
            case Op.SELECT:
                take(index, Memory.SCORE)
                take(index, Memory.SELECT)
            case Op.GATE:
                take(index, Memory.SPIKES, fields["out_base"], Kind.INTEGERS, 2)
            case Op.ATTEND:
                take(index, Memory.ATTENTION)
            case Op.POOL:
                take(index, Memory.SPIKES, fields["out_base"], Kind.INTEGERS, 1)
    if left:
        raise ConfigError(f"tensor {left[0].name} is in the program, but no descriptor produces it")
    return found


def layer_inputs(program: Program) -> dict[int, TensorLayout]:
    """The tensor that each LAYER descriptor reads, by index of the descriptor.

    Lines may be used by several tensors one after another: the latest one at the input's address counts.

    Raises
    ------
    ConfigError
        A descriptor reads lines that nothing was written to.
    """
    produced = {item.descriptor: item.layout for item in produced_tensors(program) if item.layout.lines}
    at_base = {program.input.base: program.input}
    inputs: dict[int, TensorLayout] = {}
    for index, word in enumerate(program.descriptors):
        fields = decode(word)
        if fields["op"] is Op.LAYER:
            if fields["in_base"] not in at_base:
                raise ConfigError(f"{program.nodes[index]}: no tensor starts at line {fields['in_base']}")
            inputs[index] = at_base[fields["in_base"]]
        if index in produced:
            at_base[produced[index].base] = produced[index]
    return inputs
