"""Gates inside CCU2C: which ones go there, and that the design stays what it was, proven by yosys."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparta_sim.synthesis.adders import take_gates
from sparta_sim.synthesis.netlist import Cell
from tests.sim.netlists import equal, mapped

DESIGN = """
module top(
    input clk, sub, input [5:0] a, b, c, input [17:0] x,
    output reg [5:0] gated, minus, minuend, either, constant, seen, output reg [6:0] three, output [5:0] more
);
    wire [5:0] product = b & {6{sub}};
    assign more = c ^ product;
    always @(posedge clk) begin
        gated <= a + (b & c);
        minus <= a - (b | c);
        minuend <= (b ^ c) - a;
        either <= (x[5:0] & x[11:6]) - (x[17:12] & ~a);     // one of both
        constant <= (a & ~b) + 6'd23;
        seen <= a + product;                                // read elsewhere too: stays
        three <= (sub ? a : b) + c;                         // of three inputs: stays
    end
endmodule
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return mapped(tmp_path_factory.mktemp("adders"), DESIGN)


def test_gates_go_in_and_the_design_stays_what_it_was(given: dict[str, Any], tmp_path: Path) -> None:
    taken = copy.deepcopy(given)
    assert take_gates(taken, "top") == 5 * 6
    assert equal(tmp_path, given, taken)
    assert take_gates(taken, "top") == 0


def adders(netlist: dict[str, Any]) -> list[Cell]:
    return [cell for cell in netlist["modules"]["top"]["cells"].values() if cell["type"] == "CCU2C"]


def flip(bit: int) -> Callable[[Cell], None]:
    def fault(adder: Cell) -> None:
        init = adder["parameters"]["INIT0"]
        place = len(init) - 1 - bit
        adder["parameters"]["INIT0"] = init[:place] + "10"[int(init[place])] + init[place + 1 :]

    return fault


def exchange_an_addend_with_the_gate(adder: Cell) -> None:
    bits = adder["connections"]
    bits["A0"], bits["B0"] = bits["B0"], bits["A0"]


@pytest.mark.parametrize(
    "fault",
    [flip(11), flip(3), exchange_an_addend_with_the_gate],
    ids=["sum", "carry", "exchange"],
)
def test_the_proof_sees_a_fault(fault: Callable[[Cell], None], given: dict[str, Any], tmp_path: Path) -> None:
    taken = copy.deepcopy(given)
    take_gates(taken, "top")
    before = {adder["parameters"]["INIT0"] for adder in adders(given)}
    changed = [adder for adder in adders(taken) if adder["parameters"]["INIT0"] not in before]
    for cell in changed:
        fault(cell)
    assert not equal(tmp_path, given, taken)
