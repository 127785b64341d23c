"""Attention layers over the selected tokens, and the pool (paper SC)."""

from typing import Any

import torch
from torch import Tensor, nn

from sparta_hw.errors import ConfigError
from sparta_quant.attention import SparseAttention
from sparta_quant.config import SpartaConfig
from sparta_quant.grid import GridModule, floor_quantizer
from sparta_quant.integers import AttentionIntegers, NetworkIntegers
from sparta_quant.projection import Projection
from sparta_quant.score_curve import TemperatureCurve
from sparta_quant.stsg import Selection

__all__ = ["AttentionLayer", "AttentionLayers"]

_TEMPORAL_PER_STEP = -1.1
"""Middle of a scale's temporal scores before training, a time step."""
_COUNT_GAIN = 8.0
"""Of query and key over the T steps of a spike count."""
_ATTENTION_WEIGHT = 0.01
"""Size of the initial weights on attention in the residual stream."""


class AttentionLayer(GridModule):
    """Query, key, value and attention; and ``x' = W [x, attention] + bias`` in all but the last layer.

    Parameters
    ----------
    config : SpartaConfig
        Formats.
    layer : int
        Its number.

    Raises
    ------
    ConfigError
        x and attention, which share the weights of ``W``, are not on one grid.
    """

    def __init__(self, config: SpartaConfig, layer: int) -> None:
        super().__init__()
        features = config.features
        x = config.token if layer == 0 else config.hidden
        self.query, self.key, self.value = (
            Projection(features, features, input=x, output=output, bias=config.projection_bias)
            for output in (config.query, config.key, config.value)
        )
        with torch.no_grad():
            for projection in (self.query, self.key):
                projection.linear.layer.weight.mul_(_logit_gain(config))
        self.attention = SparseAttention(config.value, config.heads)
        self.hidden: Projection | None = None
        if layer < config.attention_layers - 1:
            if x.frac != config.value_frac:
                name = "token_frac" if layer == 0 else "hidden_frac"
                raise ConfigError(
                    f"network {config.name!r}: {name} ({x.frac}) must equal value_frac ({config.value_frac}): "
                    f"hidden.{layer} has one scale for the weights on both of its inputs"
                )
            self.hidden = Projection(2 * features, features, input=x, output=config.hidden, bias=True)
            with torch.no_grad():
                weight = self.hidden.linear.layer.weight
                weight.uniform_(-_ATTENTION_WEIGHT, _ATTENTION_WEIGHT)
                weight[:, :features] = torch.eye(features)
                self.hidden.linear.layer.bias.zero_()

    def integers(self) -> AttentionIntegers:
        """Weights as the hardware has them."""
        return AttentionIntegers(
            query=self.query.linear.integers(),
            key=self.key.linear.integers(),
            value=self.value.linear.integers(),
            hidden=None if self.hidden is None else self.hidden.linear.integers(),
        )

    def freeze(self, integers: AttentionIntegers) -> None:
        """Replace the learned weights by ``integers``."""
        self.query.linear.freeze(integers.query)
        self.key.linear.freeze(integers.key)
        self.value.linear.freeze(integers.value)
        if self.hidden is not None and integers.hidden is not None:
            self.hidden.linear.freeze(integers.hidden)


def _logit_gain(config: SpartaConfig) -> float:
    """Factor on the initial weights of query and key: logits of tokens, which are spike counts, start near 1."""
    return _COUNT_GAIN / config.timesteps * (config.features / config.heads) ** -0.25


class AttentionLayers(GridModule):
    """Attention among the selected tokens, then one pooled vector of all tokens.

    Parameters
    ----------
    config : SpartaConfig
        Layers, heads and formats.
    """

    def __init__(self, config: SpartaConfig) -> None:
        super().__init__()
        middle = _TEMPORAL_PER_STEP * config.timesteps * len(config.scale_channels)
        self.temperature = TemperatureCurve(-4.0 / middle, middle) if config.temperature else None
        self.layers = nn.ModuleList(AttentionLayer(config, n) for n in range(config.attention_layers))
        self.pool = floor_quantizer(config.pooled)

    def forward(self, tokens: Tensor, selection: Selection) -> dict[str, Tensor]:
        """Named tensors in order, from the gated tokens (batch, N, D) and what attends."""
        layers: dict[str, Tensor] = {}
        sharpness = None if self.temperature is None else self.temperature(selection.temporal)
        x, attention = selection.selected, selection.selected
        for n, layer in enumerate(self._layers()):
            layers[f"query.{n}"] = query = layer.query(x)
            layers[f"key.{n}"] = key = layer.key(x)
            layers[f"value.{n}"] = value = layer.value(x)
            attention = layer.attention(query, key, value, selection.msp, selection.keep, sharpness)
            layers[f"attention.{n}"] = attention
            if layer.hidden is not None:
                layers[f"hidden.{n}"] = x = layer.hidden(torch.cat((x, attention), 2))
        pooled = tokens.sum(1) + attention.sum(1)
        layers["pooled"] = pooled = self.pool(pooled) if self.exact else pooled
        return layers

    def _layers(self) -> list[AttentionLayer]:
        return [layer for layer in self.layers if isinstance(layer, AttentionLayer)]

    def integers(self) -> dict[str, Any]:
        """Fields of :class:`~sparta_quant.integers.NetworkIntegers` that belong to attention."""
        return {
            "attention": tuple(layer.integers() for layer in self._layers()),
            "temperature": None if self.temperature is None else self.temperature.integers(),
        }

    def freeze(self, integers: NetworkIntegers) -> None:
        """Replace the learned parameters by integers."""
        for layer, weights in zip(self._layers(), integers.attention, strict=True):
            layer.freeze(weights)
        if self.temperature is not None and integers.temperature is not None:
            self.temperature.freeze(integers.temperature)
