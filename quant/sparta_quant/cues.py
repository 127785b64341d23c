"""Temporal cues of tokens (paper STEN: first spike, inter-spike interval, burst; and firing rate)."""

from typing import NamedTuple

import torch
from torch import Tensor

from sparta_hw.config import CoreConfig
from sparta_quant.grid import GridModule, floor_ste
from sparta_quant.spike_timing import spike_timing

__all__ = ["Cues", "SpikeCues"]


class Cues(NamedTuple):
    """Four cues, each (batch, N), in time steps or spikes, 0 to T."""

    first: Tensor
    interval: Tensor
    burst: Tensor
    rate: Tensor


class SpikeCues(GridModule):
    """Cues of each token over its C channels (ARCHITECTURE.md "Cues"), floored to ``2**-3``.

    ``first`` is the mean step of the first spike (T of a silent neuron), ``rate`` the mean number of spikes,
    ``burst`` the mean number of intervals of one step, ``interval`` the sum of last - first over the sum of
    gaps (T without gaps).
    """

    def forward(self, spikes: Tensor) -> Cues:
        """Cues of spikes (T, batch, C, H, W); tokens are the positions, row by row."""
        steps, channels = spikes.shape[0], spikes.shape[2]
        count, pairs, lead, tail = spike_timing(spikes.flatten(3))
        span = torch.where(count > 0, steps - 1 - tail - lead, 0).sum(1)
        gaps = torch.relu(count - 1).sum(1)
        return Cues(
            first=self._to_grid(lead.sum(1) / channels),
            interval=torch.where(gaps > 0, self._to_grid(span / gaps.clamp(min=1)), float(steps)),
            burst=self._to_grid(pairs.sum(1) / channels),
            rate=self._to_grid(count.sum(1) / channels),
        )

    def _to_grid(self, cue: Tensor) -> Tensor:
        return floor_ste(cue, CoreConfig.cue_frac) if self.exact else cue
