"""Which descriptor produces and which reads which tensor."""

from dataclasses import dataclass

from sparta_hw.descriptor import Op, decode
from sparta_hw.errors import ConfigError
from sparta_hw.program import Program
from sparta_hw.tensor_layout import Memory, TensorLayout

__all__ = ["Produced", "layer_inputs", "produced_tensors"]


@dataclass(frozen=True)
class Produced:
    """A tensor, and the ONNX node behind its first descriptor."""

    layout: TensorLayout
    node: str


def produced_tensors(program: Program) -> list[Produced]:
    """All tensors that the core produces, in the order in which it does.

    Raises
    ------
    ConfigError
        A tensor of the program is produced by none of its descriptors.
    """
    produced = [layout for name, layout in program.tensors.items() if name != program.input_name]
    for layout in produced:
        if not layout.descriptors:
            raise ConfigError(f"tensor {layout.name} is in the program, but no descriptor produces it")
    produced.sort(key=lambda layout: layout.descriptors[0])
    return [Produced(layout, program.nodes[layout.descriptors[0]]) for layout in produced]


def layer_inputs(program: Program) -> dict[int, tuple[TensorLayout, ...]]:
    """The tensors that each LAYER descriptor reads, by index of the descriptor: one a row of a ranked window.

    Lines may be used by several tensors one after another: the latest one at the input's address counts.

    Raises
    ------
    ConfigError
        A layer reads lines at which no tensor starts.
    """
    at_base = {program.input.base: program.input}
    written: dict[int, list[TensorLayout]] = {}
    for layout in program.tensors.values():
        if layout.memory is Memory.SPIKES and layout.descriptors:
            written.setdefault(layout.descriptors[0], []).append(layout)
    inputs: dict[int, tuple[TensorLayout, ...]] = {}
    for index, word in enumerate(program.descriptors):
        fields = decode(word)
        if fields["op"] is Op.LAYER:
            base, parts = fields["in_base"], []
            for _ in range(fields["in_height"] if fields["ranked"] else 1):
                if base not in at_base:
                    raise ConfigError(f"{program.nodes[index]}: no tensor starts at line {base}")
                parts.append(at_base[base])
                base += parts[-1].lines
            inputs[index] = tuple(parts)
        at_base.update((layout.base, layout) for layout in written.get(index, ()))
    return inputs
