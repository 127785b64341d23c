"""Registers inside MULT18X18D: which ones go there, and that the design stays what it was, proven by yosys."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparta_sim.synthesis.multipliers import TakenRegisters, take_registers
from tests.sim.netlists import equal, mapped

DESIGN = """
module top(
    input clk, rst, load, input [2:0] a, b,
    output reg [5:0] whole, half, enabled, twice, other, reset_product, output reg [2:0] seen
);
    reg [2:0] x, y, z; reg [5:0] p, q, e, r, s;
    always @(posedge clk) begin
        x <= a; y <= b; p <= x * y; whole <= p; seen <= x;                      // all three, and x stays outside too
        z <= a ^ b; q <= z * (b ^ 3'd5); half <= q;                             // the product
        if (load) e <= z * (b & 3'd6); enabled <= e;                            // an enable: nothing
        r <= (a ^ z) * (b ^ z); twice <= r; other <= (a ^ z) * (b ^ z) + r;     // read before its register: nothing
        s <= rst ? 6'd0 : z * (a & z); reset_product <= s;            // a reset: nothing
    end
endmodule
"""


def _joined(name: str, bits: int) -> str:
    return "{" + ", ".join(f"{name}{bit}" for bit in reversed(range(bits))) + "}"


def _model() -> str:
    """MULT18X18D, as far as it is used here."""
    single = ("SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB", "CLK0", "CE0", "RST0")
    inputs = ", ".join([*(f"{name}{bit}" for name in "ABC" for bit in range(18)), *single])
    a, b, p = _joined("A", 18), _joined("B", 18), _joined("P", 36)
    places = ("INPUTA", "INPUTB", "OUTPUT")
    return f"""
module MULT18X18D(input {inputs}, output {", ".join(f"P{bit}" for bit in range(36))});
    {"".join(f'parameter REG_{x}_CLK = "NONE", REG_{x}_CE = "CE0", REG_{x}_RST = "RST0";' for x in places)}
    reg [17:0] held_a = 0, held_b = 0;
    reg [35:0] held_p = 0;
    wire [17:0] a = REG_INPUTA_CLK == "NONE" ? {a} : held_a;
    wire [17:0] b = REG_INPUTB_CLK == "NONE" ? {b} : held_b;
    wire [35:0] p = $signed({{SIGNEDA & a[17], a}}) * $signed({{SIGNEDB & b[17], b}});
    assign {p} = REG_OUTPUT_CLK == "NONE" ? p : held_p;
    always @(posedge CLK0)
        if (RST0) {{held_a, held_b, held_p}} <= 0;
        else if (CE0) begin held_a <= {a}; held_b <= {b}; held_p <= p; end
endmodule
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return mapped(tmp_path_factory.mktemp("multipliers"), DESIGN)


def test_registers_go_in_and_the_design_stays_what_it_was(given: dict[str, Any], tmp_path: Path) -> None:
    taken = copy.deepcopy(given)
    assert take_registers(taken, "top") == TakenRegisters(products=2, factors=1, flip_flops=6 + 6 + 3)
    assert equal(tmp_path, given, taken, _model())
    assert take_registers(taken, "top").flip_flops == 0


def registered(netlist: dict[str, Any]) -> list[dict[str, Any]]:
    cells = netlist["modules"]["top"]["cells"].values()
    return [cell for cell in cells if "REG_OUTPUT_CLK" in cell["parameters"]]


def enable_by_load(cell: dict[str, Any], netlist: dict[str, Any]) -> None:
    cell["connections"]["CE0"] = netlist["modules"]["top"]["ports"]["load"]["bits"]


def leave_a_factor_outside(cell: dict[str, Any], netlist: dict[str, Any]) -> None:
    cell["parameters"]["REG_INPUTB_CLK"] = "NONE"


def swap_bits_of_the_product(cell: dict[str, Any], netlist: dict[str, Any]) -> None:
    bits = cell["connections"]
    bits["P0"], bits["P1"] = bits["P1"], bits["P0"]


@pytest.mark.parametrize("fault", [enable_by_load, leave_a_factor_outside, swap_bits_of_the_product])
def test_the_proof_sees_a_fault(
    fault: Callable[[dict[str, Any], dict[str, Any]], None], given: dict[str, Any], tmp_path: Path
) -> None:
    taken = copy.deepcopy(given)
    take_registers(taken, "top")
    (whole,) = [cell for cell in registered(taken) if "REG_INPUTA_CLK" in cell["parameters"]]
    fault(whole, taken)
    assert not equal(tmp_path, given, taken, _model())


def change(parameter: str, value: str) -> Callable[[dict[str, Any]], None]:
    return lambda register: register["parameters"].update({parameter: value})


@pytest.mark.parametrize(
    "difference",
    [change("REGSET", "SET"), change("CLKMUX", "INV"), change("CEMUX", "CE")],
    ids=["powers up high", "other edge", "enable"],
)
def test_a_register_that_a_multiplier_cannot_have_stays_outside(
    difference: Callable[[dict[str, Any]], None], given: dict[str, Any]
) -> None:
    netlist = copy.deepcopy(given)
    for cell in netlist["modules"]["top"]["cells"].values():
        if cell["type"] == "TRELLIS_FF":
            difference(cell)
    assert take_registers(netlist, "top") == TakenRegisters(0, 0, 0)
