"""Spike token selection and gating (paper STSG, eq. 6-9), and the classifier's own ranking (paper SC)."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sparta_hw.config import CoreConfig
from sparta_quant.config import SpartaConfig
from sparta_quant.dynamic_k import DynamicK
from sparta_quant.gate import TokenGain, TokenGate
from sparta_quant.grid import GridModule
from sparta_quant.grouping import grouped, patch_group
from sparta_quant.integers import NetworkIntegers
from sparta_quant.msp import Record
from sparta_quant.priority import TokenPriority
from sparta_quant.score_curve import TimingCurve
from sparta_quant.spatial import CentreSurround
from sparta_quant.token_mlp import TokenMLP
from sparta_quant.topk import TopKTokens, gather_tokens

__all__ = ["STSG", "Selection"]

_FUSION_AT_START = (
    (1.0, 0.0, 0.0, 1.0),
    (-1.0, 0.0, 0.0, -1.0),
    (0.0, 1.0, 0.0, 1.0),
    (0.0, -1.0, 0.0, -1.0),
    (0.0, 0.0, 1.0, 1.0),
    (0.0, 0.0, -1.0, -1.0),
)
"""The sum of the three scores."""
_TIMING_SLOPE = 0.25
_MSP_PER_STEP = -0.2
"""Typical MSP score of a scale before training, a time step."""


class Selection(NamedTuple):
    """What attends.

    ``selected`` (batch, K, D), ``keep`` (batch, K) 1 below each sample's own K, ``msp`` and ``temporal`` (batch, K)
    the scores of these tokens.
    """

    selected: Tensor
    keep: Tensor
    msp: Tensor
    temporal: Tensor


class STSG(GridModule):
    """Group, score, choose K, select, gate and rank tokens; every part as its own field of the configuration.

    Parameters
    ----------
    config : SpartaConfig
        Parts and formats.
    """

    def __init__(self, config: SpartaConfig) -> None:
        super().__init__()
        self._config = config
        self._spatial_scale = 2.0 ** (CoreConfig.cue_frac - CoreConfig.score_frac)
        score_frac = CoreConfig.score_frac
        msp = _MSP_PER_STEP * config.timesteps * len(config.scale_channels)
        self.timing = TimingCurve(_TIMING_SLOPE, msp) if config.timing_attention else None
        self.fusion = TokenMLP(score_frac, score_frac, _FUSION_AT_START) if config.fusion else None
        self.spatial = CentreSurround(config.grid) if config.fusion and config.spatial else None
        self.dynamic_k = DynamicK(config.tokens, config.k_min) if config.dynamic_k else None
        self.topk = TopKTokens()
        self.gain = TokenGain()
        self.gate = TokenGate(config.token)
        self.priority = TokenPriority() if config.priority else None

    def forward(self, record: Record, count: Tensor, request: int) -> tuple[dict[str, Tensor], Selection]:
        """Named tensors in order, and what attends.

        ``record`` and the spike counts ``count`` (batch, N_grid, D) are those of grid tokens; ``request`` is K, or 0
        for each sample's own.
        """
        layers: dict[str, Tensor] = {}
        group = None
        if self._config.groups is not None:
            layers["group"] = group = patch_group(record.rate, self._config.groups)
        msp, temporal, first, interval, rate = (grouped(part, group) for part in record)
        score = msp
        if self.fusion is not None:
            spatial = torch.zeros_like(msp)
            if self.spatial is not None:
                layers["spatial"] = spatial = grouped(self.spatial(record.rate), group)
            # The integers of all inputs are on one grid, the one of the score.
            score = self.fusion(spatial * self._spatial_scale, msp, temporal)
        layers["score"] = score
        k = torch.full((len(msp),), request)
        soft_k = None
        if self.dynamic_k is not None:
            layers["dynamic_k"] = own = self.dynamic_k(first, interval, rate)
            if request == 0:
                k, soft_k = own.detach().squeeze(1).long(), own
        winners = self.topk(score, k, soft_k)
        layers["winners"] = index = winners.tokens
        timing = None if self.timing is None else self.timing(msp)
        layers["gain"] = gain = self.gain(winners.mask, timing)
        layers["tokens"] = tokens = self.gate(grouped(count, group), gain)
        mask = winners.mask
        if self.priority is not None:
            layers["priority"] = priority = self.priority(first, interval, rate, gain)
            ranking = self.topk(priority, k, soft_k)
            layers["index"], mask = index, mask = ranking
        layers["selected"] = selected = gather_tokens(tokens, index)
        of_ranks = (part.gather(1, index) for part in (mask, msp, temporal))
        return layers, Selection(selected, *of_ranks)

    def _parts(self) -> dict[str, Any]:
        """What is learned, by the fields of :class:`~sparta_quant.integers.NetworkIntegers`; None what is off."""
        return {
            "timing": self.timing,
            "fusion": self.fusion,
            "inhibition": self.spatial,
            "sparsity": None if self.dynamic_k is None else self.dynamic_k.mlp,
            "k_table": None if self.dynamic_k is None else self.dynamic_k.table,
            "gate": self.gain,
            "priority": None if self.priority is None else self.priority.mlp,
        }

    def integers(self) -> dict[str, Any]:
        """Fields of :class:`~sparta_quant.integers.NetworkIntegers` that belong to the selection."""
        return {name: None if part is None else part.integers() for name, part in self._parts().items()}

    def freeze(self, integers: NetworkIntegers) -> None:
        """Replace the learned parameters by integers."""
        for name, part in self._parts().items():
            if part is not None:
                part.freeze(getattr(integers, name))
