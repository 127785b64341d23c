"""Counted events to energies, and the legacy figure that spiking network papers print."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from sparta_hw.descriptor import Destination, Op, decode
from sparta_hw.program import Program
from sparta_sim.cycles.model import layer_words
from sparta_sim.energy.activity import Block, Part, count_activity, layer_work
from sparta_sim.energy.figures import FIGURES
from sparta_sim.tensor_map import layer_inputs

__all__ = ["EnergyEstimate", "estimate_energy", "legacy_pj", "synaptic_operations"]


@dataclass(frozen=True)
class EnergyEstimate:
    """Modelled energy of one inference; with several samples, their mean.

    Parameters
    ----------
    parts, blocks : mapping of str to float
        pJ by part of the core, and by part of the network. Both add up to the same total.
    layers : tuple of float
        pJ of each descriptor.
    legacy : mapping of str to float
        pJ by block of 32-bit float operations alone, no memories: not comparable with the rest.
    """

    parts: Mapping[str, float]
    blocks: Mapping[str, float]
    layers: tuple[float, ...]
    legacy: Mapping[str, float]

    @property
    def total_pj(self) -> float:
        """Whole model, pJ."""
        return sum(self.blocks.values())

    @property
    def attention_pj(self) -> float:
        """Attention block, selector included, pJ."""
        return self.blocks[Block.ATTENTION.value]

    def to_json(self) -> dict[str, Any]:
        """For the report; every figure is modelled."""
        return {
            "kind": "modelled",
            "total_pj": self.total_pj,
            "attention_block_pj": self.attention_pj,
            "parts_pj": dict(self.parts),
            "blocks_pj": dict(self.blocks),
            "layers_pj": list(self.layers),
            "legacy_pj": {
                "kind": "legacy fp32 operations only",
                **self.legacy,
                "total": sum(self.legacy.values()),
            },
        }


def estimate_energy(
    program: Program,
    samples: Sequence[Mapping[str, NDArray]],
    topk: Sequence[int],
    progress: Callable[[], object] | None = None,
) -> EnergyEstimate:
    """Mean energy of samples.

    Parameters
    ----------
    program : Program
        The network on its core.
    samples : sequence of mapping of str to int array
        Each sample's integers by name, its input spikes among them; at least one sample.
    topk : sequence of int
        Tokens that attend in each sample.
    progress : callable, optional
        Called after each sample.
    """
    used = [part for part in Part if part is not Part.EXTERNAL or program.config.stream_bits]
    parts = dict.fromkeys((part.value for part in used), 0.0)
    blocks, legacy = (dict.fromkeys((block.value for block in Block), 0.0) for _ in range(2))
    layers = [0.0] * len(program.descriptors)
    for tensors, k in zip(samples, topk, strict=True):
        for activity in count_activity(program, tensors, k):
            share = activity.pj / len(samples)
            parts[activity.part.value] += share
            blocks[activity.block.value] += share
            layers[activity.descriptor] += share
        for block, pj in legacy_pj(program, tensors, k).items():
            legacy[block] += pj / len(samples)
        if progress:
            progress()
    return EnergyEstimate(parts, blocks, tuple(layers), legacy)


def synaptic_operations(program: Program, tensors: Mapping[str, NDArray], k: int) -> int:
    """Weights that the neuron array adds for one sample: one a spike, or set bit of a bit plane, and real output."""
    inputs = layer_inputs(program)
    total = 0
    for at, word in enumerate(program.descriptors):
        fields = decode(word)
        if fields["op"] is Op.LAYER:
            words = layer_words(inputs[at], tensors, program.config)
            total += layer_work(program.config, fields, words, k).spike_bits * fields["outputs"]
    return total


def legacy_pj(program: Program, tensors: Mapping[str, NDArray], k: int) -> dict[str, float]:
    """Synaptic operations x 0.9 pJ and multiply-accumulates x 4.6 pJ, by block, as spiking papers count."""
    ac, mac = FIGURES["legacy_ac_fp32"].value, FIGURES["legacy_mac_fp32"].value
    found = dict.fromkeys((block.value for block in Block), 0.0)
    inputs = layer_inputs(program)
    for at, word in enumerate(program.descriptors):
        fields = decode(word)
        if fields["op"] is Op.ATTEND:
            found[Block.ATTENTION.value] += 2 * k * k * fields["pitch"] * program.config.lanes * mac
        elif fields["op"] is Op.LAYER and fields["destination"] in (Destination.SPIKES, Destination.COUNTS):
            words = layer_words(inputs[at], tensors, program.config)
            work = layer_work(program.config, fields, words, k)
            block = Block.STEM if fields["destination"] == Destination.SPIKES else Block.HEAD
            found[block.value] += work.spike_bits * fields["outputs"] * ac
        elif fields["op"] is Op.LAYER:
            block = Block.HEAD if fields["destination"] == Destination.LOGITS else Block.ATTENTION
            positions = k if fields["ranked"] else 1
            inner = sum(layout.channels for layout in inputs[at])
            found[block.value] += positions * inner * fields["outputs"] * mac
    return found
