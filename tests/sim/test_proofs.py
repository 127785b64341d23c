"""Formal proofs: they hold of the units, and fail of units that were broken on purpose."""

from functools import partial
from pathlib import Path

import pytest

from sparta_hw.cli import main
from sparta_rtl.divider import SerialDivider
from sparta_rtl.hilif import FireLane
from sparta_rtl.stream_slice import StreamSlice
from sparta_rtl.topk_radix import TopKRadix
from sparta_rtl.topk_sorter import TopKSorter
from sparta_rtl.weight_stream import WeightStreamer
from sparta_sim.proofs.catalogue import PROOFS
from sparta_sim.proofs.contract import Contract, Proof
from sparta_sim.proofs.division import DividerContract
from sparta_sim.proofs.fire_lane import FireLaneContract
from sparta_sim.proofs.memory_port import StreamerContract
from sparta_sim.proofs.runner import prove
from sparta_sim.proofs.selection import RadixContract, SorterContract
from sparta_sim.proofs.streams import SliceContract
from tests.altered import altered_unit

pytestmark = pytest.mark.slow


def _lane(old: str, new: str) -> Contract:
    return FireLaneContract(altered_unit(FireLane, old, new))


def _sorter(old: str, new: str) -> Contract:
    return SorterContract(2, 3, 2, altered_unit(TopKSorter, old, new))


def _radix(old: str, new: str) -> Contract:
    return RadixContract(2, 3, 2, altered_unit(TopKRadix, old, new))


def _slice(old: str, new: str) -> Contract:
    return SliceContract(altered_unit(StreamSlice, old, new))


def _streamer(old: str, new: str) -> Contract:
    return StreamerContract(altered_unit(WeightStreamer, old, new))


def _divider(old: str, new: str) -> Contract:
    return DividerContract(7, 4, 3, 2, altered_unit(SerialDivider, old, new))


FAULTS = {
    "ties go to the later token": (_sorter, "< Cat(token.key, 1)", "<= Cat(token.key, 1)"),
    "keys are compared unsigned": (_sorter, "offset_binary(self.i.payload)", "self.i.payload"),
    "the token of a cell is lost": (_sorter, "Mux(passed, before, token)", "token"),
    "a tie too many by radix": (_radix, "rows.ties.eq(ahead)", "rows.ties.eq(ahead + 1)"),
    "a digit too large by radix": (_radix, "without[digit - 1] < 0", "without[digit - 1] <= 0"),
    "the item that waits is lost": (_slice, "full | self.i.valid", "self.i.valid"),
    "the slice takes an item too many": (_slice, "self.i.ready.eq(~full)", "self.i.ready.eq(1)"),
    "a spike needs more than the threshold": (_lane, "self.spike.eq(over >= 0)", "self.spike.eq(over > 0)"),
    "the fraction of the other neuron's current": (
        _lane, "Cat(fraction, above)", "Cat(charged[: config.tau_bits], above)",
    ),
    "a soft reset to v_reset": (_lane, "Mux(mode.soft, over, mode.v_reset)", "mode.v_reset"),
    "the current is not saturated": (
        _lane, "result.eq(saturate(shifted, config.membrane_bits))", "result.eq(shifted)",
    ),
    "beats of before a restart are kept": (_streamer, "good.eq(axi.rvalid & ~self._restarting", "good.eq(axi.rvalid"),
    "an offered address is withdrawn": (
        _streamer, "with m.If(axi.arready):", "with m.If(axi.arready | self.control.restart):",
    ),
    "the last quotient bit is missing": (_divider, "left.eq(cycles)", "left.eq(cycles - 1)"),
    "a difference of zero does not fit": (_divider, "reduced >= 0", "reduced > 0"),
}  # fmt: skip


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.slug)
def test_holds(proof: Proof, tmp_path: Path) -> None:
    assert prove(proof, tmp_path).holds


@pytest.mark.parametrize("fault", FAULTS)
def test_fails_of_a_broken_unit(fault: str, tmp_path: Path) -> None:
    contract, old, new = FAULTS[fault]
    verdict = prove(Proof("broken", fault, partial(contract, old, new), 24), tmp_path)
    assert not verdict.holds
    assert verdict.trace is not None
    assert verdict.trace.exists()


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "divider, 8", "-o", str(tmp_path)]) == 0
    assert (
        "| divider, 8 bits | floor of the division, at its cycle | all | holds |"
        in (tmp_path / "proofs.md").read_text()
    )
    assert "[1/1] divider, 8 bits" in capsys.readouterr().out


def test_unknown_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "sort of", "-o", str(tmp_path)]) == 2
    assert "no proof is named sort of; there are: register slice;" in capsys.readouterr().err
