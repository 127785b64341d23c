"""The network: STEN, cues, MSP, STSG, sparse attention classifier, feedback controller."""

from typing import Any

import torch
from torch import Tensor, nn

from sparta_hw.config import CoreConfig
from sparta_hw.errors import ConfigError
from sparta_quant.attention_layers import AttentionLayers
from sparta_quant.config import SpartaConfig
from sparta_quant.cues import SpikeCues
from sparta_quant.feedback import FeedbackController
from sparta_quant.integers import NetworkIntegers
from sparta_quant.msp import MSP, on_grid
from sparta_quant.projection import Projection
from sparta_quant.spiking_network import SpikingNetwork
from sparta_quant.stem import SpikingConv
from sparta_quant.sten import spiking_layers
from sparta_quant.stsg import STSG

__all__ = ["TARGET_SPARSITY", "SpartaNetwork"]

TARGET_SPARSITY = 0.654
"""Average token sparsity of the paper."""


class SpartaNetwork(SpikingNetwork):
    """SPARTA on the fixed-point grids of ARCHITECTURE.md.

    What a trainer uses::

        layers = network.layers(inputs, k)           named tensors of docs/dialect.md; k 0: each sample's own K
        loss = cross_entropy(layers["logits"], labels)
        loss = loss + weight * network.sparsity_loss(layers)               only with dynamic K: pulls on rho
        loss.backward(), optimiser step, then network.clamp_()
        network.k_of(layers, k)                      K of each sample (batch,)
        network.firing_rates(layers)                 mean spikes per neuron and step, by tensor name
        network.quantize(), and at the end network.calibrate_feedback(inputs) if config.feedback is set

    ``layers`` has a gradient from every learned parameter to the logits, and to ``dynamic_k`` from the sparsity MLP.
    The state of the feedback controller acts in deployed networks only.

    Parameters
    ----------
    config : SpartaConfig
        Shape and formats. Initial parameters come from torch's global generator.
    """

    def __init__(self, config: SpartaConfig) -> None:
        super().__init__(config)
        spiking = spiking_layers(config)
        depth = len(config.stem)
        self.stem = nn.ModuleList(list(spiking.values())[:depth])
        self.branches = nn.ModuleDict(dict(list(spiking.items())[depth:]))
        self.cues = SpikeCues()
        self.msp = MSP(config)
        self.stsg = STSG(config)
        self.attention = AttentionLayers(config)
        self.classifier = Projection(
            config.features, config.classes, input=config.pooled, output=None, bias=True
        )
        self.feedback: FeedbackController | None = None
        if config.feedback is not None:
            self.feedback = FeedbackController(config.feedback, config.membrane, config.value)

    def layers(self, spikes: Tensor, k: int | None = None, state: Tensor | None = None) -> dict[str, Tensor]:
        request = self._checked_k(k)
        batch = spikes.shape[0 if self.config.coding == "direct" else 1]
        state = torch.zeros(batch, dtype=torch.int64) if state is None else state
        controlled = self.feedback is not None and self.deployed
        offset = self.feedback.offset(state).to(spikes.dtype) if self.feedback and controlled else None

        layers: dict[str, Tensor] = {}
        for n, stage in enumerate(self.stem):
            layers[f"stem.{n}"] = spikes = stage(spikes, offset)
        for name, branch in self.branches.items():
            layers[name] = branch(spikes, offset)
        scales = [layers[name] for name in self.branches] or [spikes]
        cues = [self.cues(scale) for scale in scales]
        for n, scale in enumerate(cues):
            layers |= {f"{name}.{n}": cue for name, cue in scale._asdict().items()}
        record = self.msp(cues)
        layers |= record._asdict()
        counts = [scale.sum(0).to(record.rate.dtype).flatten(2).transpose(1, 2) for scale in scales]
        counts[-1] = on_grid(counts[-1], self.msp.cells)
        selected, selection = self.stsg(record, torch.cat(counts, 2), request)
        layers |= selected
        layers |= self.attention(layers["tokens"], selection)
        layers["logits"] = self.classifier(layers["pooled"])
        if self.feedback and controlled:
            layers["next_state"] = self.feedback(state, self._attended(layers))
        return layers

    def _checked_k(self, k: int | None) -> int:
        config = self.config
        request = config.default_k if k is None else k
        if not (0 if config.dynamic_k else 1) <= request <= config.tokens:
            also = ", or 0 for each sample's own" if config.dynamic_k else ""
            raise ConfigError(f"network {config.name!r}: k must be 1 to {config.tokens}{also}, not {request}")
        return request

    def _attended(self, layers: dict[str, Tensor]) -> list[Tensor]:
        return [layers[f"attention.{n}"] for n in range(self.config.attention_layers)]

    def k_of(self, layers: dict[str, Tensor], k: int | None = None) -> Tensor:
        request = self._checked_k(k)
        if request == 0:
            return layers["dynamic_k"].detach().squeeze(1).long()
        return torch.full((len(layers["logits"]),), request)

    def sparsity_loss(self, layers: dict[str, Tensor], target: float = TARGET_SPARSITY) -> Tensor:
        """``(mean over the batch of 1 - K / N, less target)^2``, K each sample's own; zero without dynamic K.

        Only the batch's mean is pulled, so that samples may differ. Its gradient is that of rho.
        """
        if "dynamic_k" not in layers:
            return torch.zeros(())
        sparsity = 1.0 - layers["dynamic_k"].to(layers["logits"].dtype).mean() / self.config.tokens
        return (sparsity - target) ** 2

    @torch.no_grad()
    def calibrate_feedback(self, spikes: Tensor, k: int | None = None) -> None:
        """Set the feedback controller's target to the mean activity over these inputs, at state 0.

        Raises
        ------
        ConfigError
            The network has no feedback controller, or still computes in floats.
        """
        if self.feedback is None or not self.exact:
            missing = "no feedback controller" if self.feedback is None else "no grids yet: quantize it first"
            raise ConfigError(f"network {self.config.name!r} has {missing}")
        self.feedback.calibrate(self._attended(self.layers(spikes, k)))

    def calibrate_(self, spikes: Tensor) -> None:
        """:meth:`calibrate_feedback`, where there is a feedback controller."""
        if self.feedback is not None:
            self.calibrate_feedback(spikes)

    def quantize(self) -> None:
        if self.stsg.dynamic_k is not None:
            self.stsg.dynamic_k.fold_()
        super().quantize()

    def integers(self) -> NetworkIntegers:
        if not self.exact:
            return self.deploy().integers()
        parts: dict[str, Any] = {
            **self.stsg.integers(),
            **self.attention.integers(),
            "classifier": self.classifier.linear.integers(),
            "scores": self.msp.integers(),
            "feedback": None if self.feedback is None else self.feedback.integers(),
        }
        return NetworkIntegers(
            config=self.config, spiking=tuple(stage.integers() for stage in self.spiking), **parts
        )

    def _freeze(self, integers: NetworkIntegers) -> None:
        for stage, values in zip(self.spiking, integers.spiking, strict=True):
            stage.freeze(values)
        self.msp.freeze(integers.scores)
        self.stsg.freeze(integers)
        self.attention.freeze(integers)
        if integers.classifier is not None:
            self.classifier.linear.freeze(integers.classifier)
        if self.feedback is not None and integers.feedback is not None:
            self.feedback.freeze(integers.feedback)
        self.eval()

    @property
    def spiking(self) -> list[SpikingConv]:
        stages = [*self.stem, *self.branches.values()]
        return [stage for stage in stages if isinstance(stage, SpikingConv)]

    @property
    def spike_names(self) -> tuple[str, ...]:
        return (*(f"stem.{n}" for n in range(len(self.stem))), *self.branches)

    def frac(self, name: str) -> int:
        config = self.config
        if name == "logits":
            return self.classifier.linear.integers().frac + config.pooled_frac
        return _frac_table(config).get(name.split(".")[0], 0)


def _frac_table(config: SpartaConfig) -> dict[str, int]:
    """Fractional bits by the part of a tensor's name before the dot."""
    return {
        **dict.fromkeys(("first", "interval", "burst", "rate", "spatial"), CoreConfig.cue_frac),
        **dict.fromkeys(("msp", "temporal", "score", "priority"), CoreConfig.score_frac),
        "gain": CoreConfig.gain_frac,
        "tokens": config.token_frac,
        "selected": config.token_frac,
        "query": config.query_frac,
        "key": config.key_frac,
        "value": config.value_frac,
        "attention": config.value_frac,
        "hidden": config.hidden_frac,
        "pooled": config.pooled_frac,
    }
