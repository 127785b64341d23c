"""Registers beside a multiplier go into it: MULT18X18D has registers of its own, which yosys leaves unused.

Outside, a path leads to the column of multipliers, through one and away; inside, it ends in it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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
    design = _Design(netlist["modules"][top])
    products = factors = 0
    for cell in design.of_type("MULT18X18D").values():
        if clock := _common_clock(design.after(cell)):
            design.take_product(cell, clock)
            products += 1
    for cell in design.of_type("MULT18X18D").values():
        if clock := _common_clock(design.before(cell)):
            design.take_factors(cell, clock)
            factors += 1
    return TakenRegisters(products, factors, design.sweep())


class _Design:
    """Cells of a module, and where each bit comes from and goes to."""

    def __init__(self, module: dict[str, Any]) -> None:
        self._cells: dict[str, dict[str, Any]] = module["cells"]
        self._ports = module["ports"].values()
        self._constants: dict[str, int] = {}
        self._flip_flops = len(self.of_type("TRELLIS_FF"))
        self._loads: dict[object, list[tuple[str, str]]] = defaultdict(list)
        for bit, name, port in self._reads():
            self._loads[bit].append((name, port))
        self._source = {_bit(cell, "Q"): cell for cell in self.of_type("TRELLIS_FF").values()}

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: cell for name, cell in self._cells.items() if cell["type"] == kind}

    def _reads(self) -> Iterable[tuple[object, str, str]]:
        for name, cell in self._cells.items():
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] != "output":
                    yield from ((bit, name, port) for bit in bits)
        for port in self._ports:
            if port["direction"] != "input":
                yield from ((bit, "", "") for bit in port["bits"])

    def after(self, cell: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The flip-flops in which a multiplier's product ends; none if it ends elsewhere too."""
        loads = [self._loads[bit] for bit in _bits(cell, "P", _PRODUCT_BITS) if self._loads[bit]]
        ends = [load for (load, *_) in loads]
        if "REG_OUTPUT_CLK" in cell["parameters"] or any(port != "DI" for _, port in ends):
            return []
        return [self._cells[name] for name, _ in ends] if len(ends) == sum(map(len, loads)) else []

    def before(self, cell: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The flip-flops from which a multiplier's factors come; none if a bit comes from elsewhere."""
        bits = [bit for factor in "AB" for bit in _bits(cell, factor, _FACTOR_BITS) if bit != "0"]
        if "REG_INPUTA_CLK" in cell["parameters"] or any(bit not in self._source for bit in bits):
            return []
        return [self._source[bit] for bit in bits]

    def take_product(self, cell: dict[str, Any], clock: object) -> None:
        """Let the product's bits come out where its flip-flops' did."""
        for n, bit in enumerate(_bits(cell, "P", _PRODUCT_BITS)):
            for name, _ in self._loads[bit]:
                output = _bit(self._cells.pop(name), "Q")
                del self._source[output]
                cell["connections"][f"P{n}"] = [output]
        self._register(cell, clock, "OUTPUT")

    def take_factors(self, cell: dict[str, Any], clock: object) -> None:
        """Let the factors' bits go in where their flip-flops' do."""
        for factor in "AB":
            for n, bit in enumerate(_bits(cell, factor, _FACTOR_BITS)):
                if bit != "0":
                    cell["connections"][f"{factor}{n}"] = [_bit(self._source[bit], "DI")]
        self._register(cell, clock, "INPUTA", "INPUTB")

    def _register(self, cell: dict[str, Any], clock: object, *places: str) -> None:
        for kind, bit in (("CLK", clock), ("CE", self._constant("1")), ("RST", self._constant("0"))):
            cell["parameters"] |= {f"REG_{place}_{kind}": f"{kind}0" for place in places}
            cell["connections"][f"{kind}0"] = [bit]
            cell["port_directions"][f"{kind}0"] = "input"

    def _constant(self, bit: str) -> int:
        """Output of a look-up: what an undriven reset or enable does is not documented."""
        if bit not in self._constants:
            self._constants[bit] = 1 + max(bit for bit in self._bits_in_use() if isinstance(bit, int))
            self._cells[f"multipliers_{bit}"] = {
                "hide_name": 0,
                "type": "LUT4",
                "parameters": {"INIT": bit * 16},
                "attributes": {},
                "port_directions": {**dict.fromkeys("ABCD", "input"), "Z": "output"},
                "connections": {**{port: ["0"] for port in "ABCD"}, "Z": [self._constants[bit]]},
            }
        return self._constants[bit]

    def _bits_in_use(self) -> Iterable[object]:
        return (bit for cell in self._cells.values() for bits in cell["connections"].values() for bit in bits)

    def sweep(self) -> int:
        """Drop the flip-flops that are read no more; how many cells are gone in all."""
        read = {bit for bit, *_ in self._reads()}
        for name, cell in self.of_type("TRELLIS_FF").items():
            if _bit(cell, "Q") not in read:
                del self._cells[name]
        return self._flip_flops - len(self.of_type("TRELLIS_FF"))


def _bit(cell: Mapping[str, Any], port: str) -> object:
    """What is connected to a port of one bit, ``"0"`` if nothing is."""
    return cell["connections"].get(port, ["0"])[0]


def _bits(cell: Mapping[str, Any], port: str, count: int) -> list[object]:
    return [_bit(cell, f"{port}{n}") for n in range(count)]


def _common_clock(registers: Iterable[Mapping[str, Any]]) -> object | None:
    """Clock of all these flip-flops; None if there are none, clocks differ, or a multiplier's cannot be like them."""
    clocks = {_clock(register) for register in registers}
    return clocks.pop() if len(clocks) == 1 else None


def _clock(register: Mapping[str, Any]) -> object | None:
    # Yosys writes the text "1" as "1 ", to tell it from a number.
    modes = {name: value.strip() for name, value in register["parameters"].items()}
    plain = modes["CLKMUX"] == "CLK" and modes["CEMUX"] == "1" and modes["REGSET"] == "RESET"
    return _bit(register, "CLK") if plain and _bit(register, "LSR") == "0" else None
