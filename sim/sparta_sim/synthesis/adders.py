"""Gates before an adder go into it: a carry cell's look-ups have an input that yosys leaves constant.

Outside, such a gate takes a look-up of its own, and a wire from it to the adder.
"""

from dataclasses import dataclass
from typing import Any

from sparta_sim.synthesis.netlist import CONSTANTS, Cell, Netlist, bit_at

__all__ = ["take_gates"]

_ADDER = "1001011010101010"
"""Look-up of one bit in CCU2C as yosys makes it: ``A ^ B ^ C`` with D high; C is 1 in a subtraction, else 0."""


@dataclass(frozen=True)
class _Gate:
    """A look-up of at most two inputs: what drives them, and its output for each ``first + 2 * second``."""

    inputs: tuple[object, object]
    outputs: tuple[bool, ...]


def take_gates(netlist: dict[str, Any], top: str) -> int:
    """Move gates of at most two inputs that one addend's bit alone reads into the adder; how many there were.

    Of its two addends a bit keeps one at input A, and the gate's inputs go to B and C. With D high the look-up gives
    the sum without carry; with C and D low, as the cell reads it for its carry where both addends are equal, the addend
    that is kept.

    Parameters
    ----------
    netlist : dict
        As ``write_json`` of yosys makes it after ``synth_ecp5``, with one flat module; it is changed.
    top : str
        Name of the module.
    """
    design = Netlist(netlist, top)
    return sum(_take_one(design, cell, half) for cell in design.of_type("CCU2C").values() for half in "01")


def _take_one(netlist: Netlist, cell: Cell, half: str) -> bool:
    bits = cell["connections"]
    a, b, c, d = (bit_at(cell, f"{port}{half}") for port in "ABCD")
    if cell["parameters"][f"INIT{half}"] != _ADDER or c not in CONSTANTS or d != "1":
        return False
    subtracts = c == "1"
    for replaced, kept in ((b, a), (a, b)):
        name = netlist.driver(replaced, "LUT4")
        if name and len(netlist.loads[replaced]) == 1 and (gate := _gate(netlist.cells[name])):
            del netlist.cells[name]
            for port, bit in zip("ABC", (kept, *gate.inputs), strict=True):
                bits[f"{port}{half}"] = [bit]
            cell["parameters"][f"INIT{half}"] = _look_up(gate, subtracts, inverted=subtracts and kept == b)
            return True
    return False


def _gate(look_up: Cell) -> _Gate | None:
    """What a look-up does, if it has no more than two inputs."""
    inputs = [bit_at(look_up, port) for port in "ABCD"]
    variable = [n for n, source in enumerate(inputs) if source not in CONSTANTS]
    if len(variable) > 2:
        return None
    init = int(look_up["parameters"]["INIT"], 2)
    fixed = sum(1 << n for n, source in enumerate(inputs) if source == "1")
    outputs = tuple(
        bool(init >> fixed + sum(1 << n for place, n in enumerate(variable) if case >> place & 1) & 1)
        for case in range(4)
    )
    first, second, *_ = *(inputs[n] for n in variable), "0", "0"
    return _Gate((first, second), outputs)


def _look_up(gate: _Gate, subtracts: bool, inverted: bool) -> str:
    """INIT, highest bit first: the kept addend, which counts ``inverted``, at A, the inputs of the gate at B and C."""
    outputs = [
        (index & 1) ^ (gate.outputs[index >> 1 & 3] ^ subtracts if index >> 3 else inverted)
        for index in range(16)
    ]
    return "".join(str(int(output)) for output in reversed(outputs))
