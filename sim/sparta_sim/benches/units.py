"""The units that have a bench."""

from collections.abc import Callable, Mapping

from amaranth.lib import wiring

from sparta_hw.config import CoreConfig
from sparta_rtl.attention import AttentionUnit
from sparta_rtl.counts import CountUnit
from sparta_rtl.cues import CueUnit
from sparta_rtl.gate import GateUnit
from sparta_rtl.host import HostPort
from sparta_rtl.neuron_array import NeuronArray
from sparta_rtl.pool import PoolUnit
from sparta_rtl.rank import RankUnit
from sparta_rtl.results import ResultPort
from sparta_rtl.score import ScoreUnit
from sparta_rtl.sequencer import Sequencer
from sparta_rtl.shared_fire import SharedFireStage
from sparta_rtl.topk_units import topk_unit
from sparta_rtl.weight_stream import StreamedWeights

__all__ = ["UNITS"]

UNITS: Mapping[str, Callable[[CoreConfig], wiring.Component]] = {
    "attention": AttentionUnit,
    "counts": CountUnit,
    "cues": CueUnit,
    "gate": GateUnit,
    "host": HostPort,
    "neuron_array": NeuronArray,
    "pool": PoolUnit,
    "rank": RankUnit,
    "results": ResultPort,
    "score": ScoreUnit,
    "sequencer": Sequencer,
    "shared_fire": SharedFireStage,
    "weight_stream": StreamedWeights,
    "topk": topk_unit,
}
"""Unit by name; ``bench_<name>.py`` is its bench."""
