"""The units that have a bench, and the Verilog that the bench simulates."""

from collections.abc import Callable, Mapping

from amaranth.back import verilog
from amaranth.lib import wiring

from sparta_hw.config import CoreConfig
from sparta_rtl.attention import AttentionUnit
from sparta_rtl.cues import CueUnit
from sparta_rtl.gate import GateUnit
from sparta_rtl.generate import unit_ports
from sparta_rtl.host import HostPort
from sparta_rtl.neuron_array import NeuronArray
from sparta_rtl.pool import PoolUnit
from sparta_rtl.rank import RankUnit
from sparta_rtl.results import ResultPort
from sparta_rtl.score import ScoreUnit
from sparta_rtl.sequencer import Sequencer
from sparta_rtl.topk_units import topk_unit
from sparta_rtl.weight_stream import StreamedWeights

__all__ = ["UNITS", "unit_verilog"]


UNITS: Mapping[str, Callable[[CoreConfig], wiring.Component]] = {
    "attention": AttentionUnit,
    "cues": CueUnit,
    "gate": GateUnit,
    "host": HostPort,
    "neuron_array": NeuronArray,
    "pool": PoolUnit,
    "rank": RankUnit,
    "results": ResultPort,
    "score": ScoreUnit,
    "sequencer": Sequencer,
    "weight_stream": StreamedWeights,
    "topk": topk_unit,
}
"""Unit by name; ``bench_<name>.py`` is its bench."""


def unit_verilog(name: str, config: CoreConfig) -> tuple[str, list[str]]:
    """Verilog text of a unit, module ``name``, and the names of its ports, clock and reset included."""
    unit = UNITS[name](config)
    ports = unit_ports(unit)
    text = verilog.convert(
        unit, name=name, emit_src=False, ports={port: (signal, None) for port, signal in ports.items()}
    )
    return text, ["clk", "rst", *ports]
