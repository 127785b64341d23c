"""Registers beside a multiplier go into it: MULT18X18D has registers of its own, which yosys leaves unused.

Outside, a path leads to the column of multipliers, through one and away; inside, it ends in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sparta_sim.synthesis.netlist import Cell, Netlist, bit_at

__all__ = ["TakenRegisters", "take_registers"]

_FACTOR_BITS, _PRODUCT_BITS = 18, 36


@dataclass(frozen=True)
class TakenRegisters:
    """What :func:`take_registers` did.

    Parameters
    ----------
    products, factors : int
        Multipliers whose product is registered inside now, and whose two factors are.
    flip_flops : int
        Cells that are gone.
    """

    products: int
    factors: int
    flip_flops: int


def take_registers(netlist: dict[str, Any], top: str) -> TakenRegisters:
    """Move the registers beside the multipliers of a flat design into them; ``netlist`` is changed.

    Those of a product go if all of its bits end in flip-flops and nowhere else, those of two factors if all of their
    bits are zero or come from flip-flops; these stay where something else reads them. All have one clock, no enable and
    no reset, and power up as zero. With an enable they stay: which of its four enables a multiplier's product takes is
    not documented, and nextpnr does not set it.

    Parameters
    ----------
    netlist : dict
        As ``write_json`` of yosys makes it after ``synth_ecp5``.
    top : str
        Name of its module.
    """
    design = Netlist(netlist, top)
    registers = _Registers(design)
    before = len(design.of_type("TRELLIS_FF"))
    products = factors = 0
    for cell in design.of_type("MULT18X18D").values():
        if clock := _common_clock(_after(design, cell)):
            registers.take_product(cell, clock)
            products += 1
    for cell in design.of_type("MULT18X18D").values():
        if clock := _common_clock(_before(design, cell)):
            registers.take_factors(cell, clock)
            factors += 1
    design.sweep("TRELLIS_FF")
    return TakenRegisters(products, factors, before - len(design.of_type("TRELLIS_FF")))


def _after(netlist: Netlist, cell: Cell) -> list[Cell]:
    """The flip-flops in which a multiplier's product ends; none if it ends elsewhere too."""
    loads = [netlist.loads[bit] for bit in _bits(cell, "P", _PRODUCT_BITS) if netlist.loads[bit]]
    ends = [load for (load, *_) in loads]
    if "REG_OUTPUT_CLK" in cell["parameters"] or any(port != "DI" for _, port in ends):
        return []
    return [netlist.cells[name] for name, _ in ends] if len(ends) == sum(map(len, loads)) else []


def _before(netlist: Netlist, cell: Cell) -> list[Cell]:
    """The flip-flops from which a multiplier's factors come; none if a bit comes from elsewhere."""
    bits = [bit for factor in "AB" for bit in _bits(cell, factor, _FACTOR_BITS) if bit != "0"]
    sources = [netlist.driver(bit, "TRELLIS_FF") for bit in bits]
    if "REG_INPUTA_CLK" in cell["parameters"]:
        return []
    known = [netlist.cells[source] for source in sources if source is not None]
    return known if len(known) == len(sources) else []


class _Registers:
    """Moves flip-flops into multipliers."""

    def __init__(self, netlist: Netlist) -> None:
        self._netlist = netlist
        self._constants: dict[str, int] = {}

    def take_product(self, cell: Cell, clock: object) -> None:
        """Let the product's bits come out where its flip-flops' did."""
        for n, bit in enumerate(_bits(cell, "P", _PRODUCT_BITS)):
            for name, _ in self._netlist.loads[bit]:
                cell["connections"][f"P{n}"] = [bit_at(self._netlist.cells.pop(name), "Q")]
        self._register(cell, clock, "OUTPUT")

    def take_factors(self, cell: Cell, clock: object) -> None:
        """Let the factors' bits go in where their flip-flops' do."""
        for factor in "AB":
            for n, bit in enumerate(_bits(cell, factor, _FACTOR_BITS)):
                if source := self._netlist.driver(bit, "TRELLIS_FF"):
                    cell["connections"][f"{factor}{n}"] = [bit_at(self._netlist.cells[source], "DI")]
        self._register(cell, clock, "INPUTA", "INPUTB")

    def _register(self, cell: Cell, clock: object, *places: str) -> None:
        for kind, bit in (("CLK", clock), ("CE", self._constant("1")), ("RST", self._constant("0"))):
            cell["parameters"] |= {f"REG_{place}_{kind}": f"{kind}0" for place in places}
            cell["connections"][f"{kind}0"] = [bit]
            cell["port_directions"][f"{kind}0"] = "input"

    def _constant(self, bit: str) -> int:
        """Output of a look-up: what an undriven reset or enable does is not documented."""
        if bit not in self._constants:
            self._constants[bit] = self._netlist.new_bit()
            self._netlist.cells[f"multipliers_{bit}"] = {
                "hide_name": 0,
                "type": "LUT4",
                "parameters": {"INIT": bit * 16},
                "attributes": {},
                "port_directions": {**dict.fromkeys("ABCD", "input"), "Z": "output"},
                "connections": {**{port: ["0"] for port in "ABCD"}, "Z": [self._constants[bit]]},
            }
        return self._constants[bit]


def _bits(cell: Cell, port: str, count: int) -> list[object]:
    return [bit_at(cell, f"{port}{n}") for n in range(count)]


def _common_clock(registers: Iterable[Cell]) -> object | None:
    """Clock of all these flip-flops; None if there are none, clocks differ, or a multiplier's cannot be like them."""
    clocks = {_clock(register) for register in registers}
    return clocks.pop() if len(clocks) == 1 else None


def _clock(register: Cell) -> object | None:
    # Yosys writes the text "1" as "1 ", to tell it from a number.
    modes = {name: value.strip() for name, value in register["parameters"].items()}
    plain = modes["CLKMUX"] == "CLK" and modes["CEMUX"] == "1" and modes["REGSET"] == "RESET"
    return bit_at(register, "CLK") if plain and bit_at(register, "LSR") == "0" else None
