from pathlib import Path

import pytest

from sparta_hw.config import CoreConfig
from sparta_hw.errors import SpartaError
from sparta_rtl.generate import core_verilog
from sparta_sim.coverage import read_coverage
from tests.coverage.campaign import CORE, NETWORKS, cover
from tests.coverage.run import unexplained

SHARES = {"line": 0.99, "toggle": 0.87}
"""Each unit keeps its own descriptor, whose upper bits no network of this size sets."""


@pytest.mark.slow
@pytest.mark.parametrize("core", NETWORKS, ids=lambda core: core.name)
def test_every_hole_is_explained(core: CoreConfig, tmp_path: Path) -> None:
    coverage = cover(core, core_verilog(core), tmp_path)
    assert [str(hole) for hole in unexplained(core, coverage)] == []
    for kind, share in SHARES.items():
        assert coverage.reached[kind] >= share * coverage.total[kind]


@pytest.mark.slow
def test_a_run_too_few_leaves_holes(tmp_path: Path) -> None:
    """Without soft resets, feedback or several layers, and so on: one network is not all of SPARTA."""
    assert unexplained(CORE, cover(CORE, core_verilog(CORE), tmp_path, networks=1))


def test_lines_and_registers_are_told_from_what_yosys_adds(tmp_path: Path) -> None:
    verilog = (
        "module top(clk);\n  always @* begin\n    if (dump_module$1 ) begin end\n    if (go) begin\n    end\n  end\n"
        "  always @(posedge clk)\n    count <= next;\nendmodule\n"
    )
    point = "C '\x01f\x02a.v\x01l\x02{}\x01page\x02{}/top\x01o\x02{}\x01h\x02x' {}\n".format
    path = tmp_path / "coverage.dat"
    path.write_text(
        "# SystemC::Coverage-3\n"
        + point(3, "v_branch", "if", 0)
        + point(4, "v_branch", "if", 0)
        + point(4, "v_branch", "else", 7)
        + point(8, "v_toggle", "count[0]:0->1", 3)
        + point(8, "v_toggle", "count[1]:0->1", 0)
        + point(8, "v_toggle", "next[1]:0->1", 0)
    )
    coverage = read_coverage(path, verilog)
    assert (coverage.total, coverage.reached) == ({"line": 2, "toggle": 2}, {"line": 1, "toggle": 1})
    line, register = coverage.holes
    assert str(line) == "line top: if: if (dump_module$1 ) begin end / if (go) begin / end"
    assert line.whole
    assert (register.what, register.bits, register.whole) == ("count", ("[1]:0->1",), False)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "coverage.dat").write_text("something else\n")
    with pytest.raises(SpartaError, match="not a coverage file"):
        read_coverage(tmp_path / "coverage.dat", "")
