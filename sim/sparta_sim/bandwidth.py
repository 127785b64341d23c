"""What an external memory must deliver so that a core with streamed weights never waits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparta_hw.descriptor import Op, decode
from sparta_hw.program import Program
from sparta_rtl.sequencer import FETCH_CYCLES, HANDOVER_CYCLES
from sparta_sim.cycles.model import Prediction

__all__ = ["Bandwidth", "weight_bandwidth"]


@dataclass(frozen=True)
class Bandwidth:
    """Bytes a cycle, inferences following one another without a pause.

    Parameters
    ----------
    image_bytes, tiles : int
        Read in each inference.
    mean : float
        All bytes, over all cycles.
    one_ahead : float
        The most that one tile's bytes need while only the tile before it computes.
    one_ahead_node : str
        The layer of that tile.
    needed : float
        The least constant rate with which the core's own ring never runs empty.
    """

    image_bytes: int
    tiles: int
    mean: float
    one_ahead: float
    one_ahead_node: str
    needed: float


def weight_bandwidth(program: Program, prediction: Prediction, latency: int) -> Bandwidth:
    """Bandwidth that one inference needs.

    Rows that tile j needs at its begin have had since tile i was read, which made room for them, for all i < j::

        needed = max over i < j of (D(j) - D(i - 1) - B) / (begin(j) - read(i) - latency),  at least the mean

    with D the bytes up to and with a tile, and B the ring's bytes less one burst, which waits for room for all of it.

    Parameters
    ----------
    program : Program
        On a core that streams.
    prediction : Prediction
        Its cycles without waits for weights.
    latency : int
        Of the memory.
    """
    begin, end, size, nodes = _tiles(program, prediction)
    period, count = prediction.cycles, len(size)
    total = int(size.sum())
    gaps = np.diff(begin, append=begin[0] + period)
    ahead = np.roll(size, -1) / gaps
    tightest = int(ahead.argmax())

    config = program.config
    ring = (config.weight_rows - config.burst_rows) * config.lanes
    begins, ends = (np.concatenate([times, times + period]) for times in (begin, end))
    done = np.cumsum(np.concatenate([size, size]))
    needed = total / period
    for j in range(count, 2 * count):
        before = slice(j - count, j)
        bytes_ = done[j] - (done[before] - np.tile(size, 2)[before]) - ring
        time = begins[j] - ends[before] - latency
        late = bytes_ > 0
        if late.any():
            rates = np.where(time[late] > 0, bytes_[late] / np.maximum(time[late], 1), np.inf)
            needed = max(needed, float(rates.max()))
    return Bandwidth(
        total, count, total / period, float(ahead[tightest]), nodes[(tightest + 1) % count], needed
    )


def _tiles(
    program: Program, prediction: Prediction
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Begin, last read of weights, bytes and node of every tile of an inference, in order."""
    begin, end, size, nodes = [], [], [], []
    now = 0
    layers = zip(prediction.layer_cycles, prediction.layer_tiles, strict=True)
    for word, node, (cycles, tiles) in zip(program.descriptors, program.nodes, layers, strict=False):
        now += FETCH_CYCLES
        fields = decode(word)
        if fields["op"] is Op.LAYER:
            for begins, read in tiles:
                begin.append(now + begins)
                end.append(now + read)
                size.append(fields["weight_pitch"] * program.config.lanes)
                nodes.append(node)
        now += cycles + HANDOVER_CYCLES
    return np.array(begin), np.array(end), np.array(size), nodes
