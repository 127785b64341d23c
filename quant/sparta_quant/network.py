"""The network: STEN, cues, MSP, STSG, sparse attention classifier, feedback controller."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from sparta_hw.config import CoreConfig
from sparta_hw.errors import ConfigError
from sparta_quant.attention_layers import AttentionLayers
from sparta_quant.config import SpartaConfig
from sparta_quant.cues import SpikeCues
from sparta_quant.feedback import FeedbackController
from sparta_quant.grid import GridModule, GridPart
from sparta_quant.integers import NetworkIntegers
from sparta_quant.msp import MSP, on_grid
from sparta_quant.projection import Projection
from sparta_quant.stem import SpikingConv
from sparta_quant.sten import spiking_layers
from sparta_quant.stsg import STSG

__all__ = ["TARGET_SPARSITY", "SpartaNetwork"]

TARGET_SPARSITY = 0.654
"""Average token sparsity of the paper."""


class SpartaNetwork(GridModule):
    """SPARTA on the fixed-point grids of ARCHITECTURE.md.

    A network is trained in floats, then on the grids (:meth:`quantize`), then deployed: :meth:`deploy`
    replaces every learned parameter by its integer. A deployed network is bit-exact in float32 and, after
    ``.double()``, in float64; its values times ``2**frac`` are the integers of the hardware.

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
        super().__init__()
        self.config = config
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

    @classmethod
    def from_integers(cls, integers: NetworkIntegers) -> "SpartaNetwork":
        """A deployed network."""
        network = cls(integers.config)
        network.quantize()
        network._freeze(integers)
        return network

    def forward(self, spikes: Tensor, k: int | None = None, state: Tensor | None = None) -> Tensor:
        """Logits (batch, classes) of spikes (T, batch, C, H, W) or pixels (batch, C, H, W); ``k`` tokens attend."""
        return self.layers(spikes, k, state)["logits"]

    def layers(self, spikes: Tensor, k: int | None = None, state: Tensor | None = None) -> dict[str, Tensor]:
        """Every named tensor of docs/dialect.md, in order of computation.

        Parameters
        ----------
        spikes : Tensor (T, batch, C, H, W)
            0 or 1; pixels (batch, C, H, W), 0 to 255, with direct coding.
        k : int or None
            Tokens that attend; 0, with dynamic K: each sample's own; None: ``default_k`` of the configuration.
        state : int64 Tensor (batch,) or None
            Of the feedback controller; zeros if None.

        Raises
        ------
        ConfigError
            ``k`` is not 1 to N, or 0 without dynamic K.
        """
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
        """K of each sample (batch,), int64, of the ``layers`` that were computed with ``k``."""
        request = self._checked_k(k)
        if request == 0:
            return layers["dynamic_k"].detach().squeeze(1).long()
        return torch.full((len(layers["logits"]),), request)

    def firing_rates(self, layers: dict[str, Tensor]) -> dict[str, float]:
        """Mean spikes per neuron and step of each spiking layer, by the name of its tensor."""
        return {name: float(layers[name].detach().mean()) for name in self.spike_names}

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

    def quantize(self) -> None:
        """End the first phase of training: fold the normalisation, and compute on the grids from now on."""
        for stage in self.spiking:
            stage.fold_()
        if self.stsg.dynamic_k is not None:
            self.stsg.dynamic_k.fold_()
        for module in self.modules():
            if isinstance(module, GridModule):
                module.exact = True

    def clamp_(self) -> None:
        """Keep learned parameters inside their formats; call it after each optimiser step."""
        for module in self.modules():
            if isinstance(module, GridPart):
                module.clamp_()

    def integers(self) -> NetworkIntegers:
        """The parameters as integers."""
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

    def deploy(self) -> "SpartaNetwork":
        """A copy whose parameters are integers: what is exported, and what the hardware must equal."""
        network = copy.deepcopy(self).float()
        network.quantize()
        if not network.deployed:
            network._freeze(network.integers())
        return network

    def _freeze(self, integers: NetworkIntegers) -> None:
        for stage, values in zip(self.spiking, integers.spiking, strict=True):
            stage.freeze(values)
        self.msp.freeze(integers.scores)
        self.stsg.freeze(integers)
        self.attention.freeze(integers)
        self.classifier.linear.freeze(integers.classifier)
        if self.feedback is not None and integers.feedback is not None:
            self.feedback.freeze(integers.feedback)
        self.eval()

    @property
    def spiking(self) -> list[SpikingConv]:
        """The spiking convolutions: layers of the stem, then branches."""
        stages = [*self.stem, *self.branches.values()]
        return [stage for stage in stages if isinstance(stage, SpikingConv)]

    @property
    def spike_names(self) -> tuple[str, ...]:
        """Names of the tensors that are spikes (T, batch, C, H, W)."""
        return (*(f"stem.{n}" for n in range(len(self.stem))), *self.branches)

    @property
    def deployed(self) -> bool:
        """Whether all parameters are integers."""
        return all(part.frozen for part in self.modules() if isinstance(part, GridPart))

    def frac(self, name: str) -> int:
        """Fractional bits of the named tensor of :meth:`layers`; 0 for spikes, indices, K and the state."""
        config = self.config
        if name == "logits":
            return self.integers().classifier.frac + config.pooled_frac
        return _frac_table(config).get(name.split(".")[0], 0)

    @torch.no_grad()
    def layer_integers(
        self, spikes: Tensor, k: int | None = None, state: Tensor | None = None
    ) -> dict[str, Tensor]:
        """:meth:`layers` of a deployed network as int64, each value times ``2**frac``."""
        return {
            name: torch.round(value.double() * 2.0 ** self.frac(name)).long()
            for name, value in self.layers(spikes, k, state).items()
        }


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
