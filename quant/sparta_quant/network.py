"""The network: spiking stem, token selection, sparse attention, residual pool, classifier."""

import copy

import torch
from torch import Tensor, nn

from sparta_hw.config import CoreConfig
from sparta_hw.errors import ConfigError
from sparta_quant.attention import SparseAttention
from sparta_quant.config import SpartaConfig
from sparta_quant.cues import SpikeCues
from sparta_quant.gate import TokenGate
from sparta_quant.grid import GridModule, GridPart, floor_quantizer
from sparta_quant.integers import NetworkIntegers
from sparta_quant.projection import Projection
from sparta_quant.score import TokenScore
from sparta_quant.stem import SpikingConv
from sparta_quant.topk import TopKTokens, gather_tokens

__all__ = ["SpartaNetwork"]


class SpartaNetwork(GridModule):
    """SPARTA on the fixed-point grids of ARCHITECTURE.md.

    A network is trained in floats, then on the grids (:meth:`quantize`), then deployed: :meth:`deploy`
    replaces every learned parameter by its integer. A deployed network is bit-exact in float32 and, after
    ``.double()``, in float64; its values times ``2**frac`` are the integers of the hardware.

    Parameters
    ----------
    config : SpartaConfig
        Shape and formats. Initial parameters come from torch's global generator.
    """

    def __init__(self, config: SpartaConfig) -> None:
        super().__init__()
        self.config = config
        inputs = [config.input[0], *(layer.channels for layer in config.stem)]
        self.stem = nn.ModuleList(
            SpikingConv(config, layer, channels) for layer, channels in zip(config.stem, inputs, strict=False)
        )
        self.cues = SpikeCues()
        self.score = TokenScore(config.timesteps)
        self.topk = TopKTokens()
        self.gate = TokenGate(config.token)
        self.query, self.key, self.value = (
            Projection(
                config.features,
                config.features,
                input=config.token,
                output=output,
                bias=config.projection_bias,
            )
            for output in (config.query, config.key, config.value)
        )
        self.attention = SparseAttention(config.value)
        self.pool = floor_quantizer(config.pooled)
        self.classifier = Projection(
            config.features, config.classes, input=config.pooled, output=None, bias=True
        )

    @classmethod
    def from_integers(cls, integers: NetworkIntegers) -> "SpartaNetwork":
        """A deployed network."""
        network = cls(integers.config)
        network.quantize()
        network._freeze(integers)
        return network

    def forward(self, spikes: Tensor, k: int | None = None) -> Tensor:
        """Logits (batch, classes) of spikes (T, batch, C, H, W); ``k`` tokens attend."""
        return self.layers(spikes, k)["logits"]

    def layers(self, spikes: Tensor, k: int | None = None) -> dict[str, Tensor]:
        """Every named tensor of docs/dialect.md, in order of computation.

        Raises
        ------
        ConfigError
            ``k`` is not 1 to N.
        """
        k = self.config.default_k if k is None else k
        if not 1 <= k <= self.config.tokens:
            raise ConfigError(f"network {self.config.name!r}: k must be 1 to {self.config.tokens}, not {k}")
        layers = {}
        for n, stage in enumerate(self.stem):
            layers[f"stem.{n}"] = spikes = stage(spikes)
        cues = self.cues(spikes)
        layers |= cues._asdict()
        layers["score"] = score = self.score(cues)
        layers["index"] = index = self.topk(score, k)
        layers["tokens"] = tokens = self.gate(spikes, index)
        layers["selected"] = selected = gather_tokens(tokens, index)
        layers["query"] = query = self.query(selected)
        layers["key"] = key = self.key(selected)
        layers["value"] = value = self.value(selected)
        layers["attention"] = attention = self.attention(query, key, value, score, index)
        pooled = tokens.sum(1) + attention.sum(1)
        layers["pooled"] = pooled = self.pool(pooled) if self.exact else pooled
        layers["logits"] = self.classifier(pooled)
        return layers

    def quantize(self) -> None:
        """End the first phase of training: fold the normalisation, and compute on the grids from now on."""
        for stage in self.stages:
            stage.fold_()
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
        return NetworkIntegers(
            config=self.config,
            convs=tuple(stage.conv.integers() for stage in self.stages),
            hilifs=tuple(stage.hilif.integers() for stage in self.stages),
            score=self.score.integers(),
            gate=self.gate.integers(),
            query=self.query.linear.integers(),
            key=self.key.linear.integers(),
            value=self.value.linear.integers(),
            classifier=self.classifier.linear.integers(),
        )

    def deploy(self) -> "SpartaNetwork":
        """A copy whose parameters are integers: what is exported, and what the hardware must equal."""
        network = copy.deepcopy(self).float()
        network.quantize()
        if not network.deployed:
            network._freeze(network.integers())
        return network

    def _freeze(self, integers: NetworkIntegers) -> None:
        for stage, conv, hilif in zip(self.stages, integers.convs, integers.hilifs, strict=True):
            stage.conv.freeze(conv)
            stage.hilif.freeze(hilif)
        self.score.freeze(integers.score)
        self.gate.freeze(integers.gate)
        self.query.linear.freeze(integers.query)
        self.key.linear.freeze(integers.key)
        self.value.linear.freeze(integers.value)
        self.classifier.linear.freeze(integers.classifier)
        self.eval()

    @property
    def stages(self) -> list[SpikingConv]:
        """The layers of the stem."""
        return [stage for stage in self.stem if isinstance(stage, SpikingConv)]

    @property
    def deployed(self) -> bool:
        """Whether all parameters are integers."""
        return all(part.frozen for part in self.modules() if isinstance(part, GridPart))

    def frac(self, name: str) -> int:
        """Fractional bits of the named tensor of :meth:`layers`; 0 for spikes and indices."""
        config = self.config
        if name == "logits":
            return self.integers().classifier.frac + config.pooled_frac
        return _frac_table(config).get(name, 0)

    @torch.no_grad()
    def layer_integers(self, spikes: Tensor, k: int | None = None) -> dict[str, Tensor]:
        """:meth:`layers` of a deployed network as int64, each value times ``2**frac``."""
        return {
            name: torch.round(value.double() * 2.0 ** self.frac(name)).long()
            for name, value in self.layers(spikes, k).items()
        }


def _frac_table(config: SpartaConfig) -> dict[str, int]:
    cues = dict.fromkeys(("first", "interval", "burst", "rate"), CoreConfig.cue_frac)
    return cues | {
        "score": CoreConfig.score_frac,
        "tokens": config.token_frac,
        "selected": config.token_frac,
        "query": config.query_frac,
        "key": config.key_frac,
        "value": config.value_frac,
        "attention": config.value_frac,
        "pooled": config.pooled_frac,
    }
