"""Small untrained networks whose neurons fire: material for tests of the compiler and the core."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import FixedPoint, floor_shift, saturate
from sparta_quant.config import SpartaConfig
from sparta_quant.dynamic_k import k_table
from sparta_quant.inputs import network_inputs
from sparta_quant.integers import (
    AttentionIntegers,
    FeedbackIntegers,
    GateIntegers,
    HILIFIntegers,
    MlpIntegers,
    NetworkIntegers,
    ScoreIntegers,
    SpikingIntegers,
    WeightIntegers,
)
from sparta_quant.network import SpartaNetwork
from sparta_quant.random_config import random_config
from sparta_quant.stem import SpikingConv
from sparta_quant.token_mlp import HIDDEN_FRAC

__all__ = ["random_integers", "random_network", "random_spikes"]

_CALIBRATION_SAMPLES = 16
_TABLE = FixedPoint(CoreConfig.table_bits, CoreConfig.score_frac)
_MEMORYLESS = 255
_CURVE_ENTRIES = 128
_SMALLEST_RATE = 0.1
"""Spikes per neuron and step over the calibration inputs."""


def random_network(seed: int) -> SpartaNetwork:
    """A deployed network of random shape, parts and integers; the same one for the same seed.

    Thresholds are set from the currents of random spikes, so that neurons of every layer fire. The other integers
    take their whole range, so that ties, negative numbers and saturation occur.
    """
    rng = np.random.default_rng(seed)
    config = random_config(rng, f"random{seed}")
    return SpartaNetwork.from_integers(random_integers(config, rng, seed))


def random_spikes(config: SpartaConfig, samples: int, seed: int) -> NDArray[np.uint8]:
    """Spikes (samples, T, C, H, W), each sample at its own rate between 5 and 50 %.

    With direct coding pixels (samples, C, H, W), each sample with its own contrast.
    """
    rng = np.random.default_rng(seed)
    if config.coding == "direct":
        contrast = rng.uniform(0.1, 1.0, (samples, 1, 1, 1))
        return (rng.random((samples, *config.input)) * contrast * 256).astype(np.uint8)
    rates = rng.uniform(0.05, 0.5, (samples, 1, 1, 1, 1))
    return (rng.random((samples, config.timesteps, *config.input)) < rates).astype(np.uint8)


def random_integers(config: SpartaConfig, rng: np.random.Generator, seed: int) -> NetworkIntegers:
    """Integers of a network of this configuration; ``seed`` is that of the inputs that set its thresholds."""
    features = config.features
    inputs = random_spikes(config, _CALIBRATION_SAMPLES, seed)
    score_frac, cue_frac = CoreConfig.score_frac, CoreConfig.cue_frac
    integers = NetworkIntegers(
        config=config,
        spiking=_spiking(rng, config, inputs),
        scores=tuple(_tables(rng, config) for _ in config.scale_channels),
        gate=GateIntegers(int(rng.integers(32, 256)), int(rng.integers(0, 64))),
        attention=tuple(_attention(rng, config, n) for n in range(config.attention_layers)),
        classifier=_weights(rng, (config.classes, features), int(rng.integers(4, 10))),
        inhibition=int(rng.integers(0, 128)) if config.fusion and config.spatial else None,
        fusion=_mlp(rng, score_frac, score_frac) if config.fusion else None,
        sparsity=_mlp(rng, cue_frac, CoreConfig.sparsity_frac) if config.dynamic_k else None,
        k_table=_k_table(rng, config) if config.dynamic_k else None,
        timing=rng.integers(0, 256, _CURVE_ENTRIES) if config.timing_attention else None,
        priority=_mlp(rng, cue_frac, score_frac) if config.priority else None,
        temperature=rng.integers(0, 256, _CURVE_ENTRIES) if config.temperature else None,
        feedback=FeedbackIntegers(0, 0) if config.feedback else None,
    )
    if config.feedback is None:
        return integers
    network = SpartaNetwork.from_integers(integers)
    network.calibrate_feedback(network_inputs(config, inputs))
    feedback = network.integers().feedback
    assert feedback is not None
    shift = max(0, feedback.activity_shift - int(rng.integers(0, 6)))
    target = min((feedback.target << feedback.activity_shift) >> shift, (1 << 16) - 1)
    return replace(integers, feedback=FeedbackIntegers(shift, target))


def _weights(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    frac: int,
    *,
    bias: bool = True,
    excitation: float = 0.0,
    largest_bias: int = 200,
) -> WeightIntegers:
    weight = np.rint(rng.normal(excitation, 50.0, shape)).clip(-128, 127).astype(np.int64)
    biases = rng.integers(-largest_bias, largest_bias + 1, shape[0]) if bias else None
    return WeightIntegers(weight, frac, biases)


def _attention(rng: np.random.Generator, config: SpartaConfig, layer: int) -> AttentionIntegers:
    features = config.features
    input_frac = config.token_frac if layer == 0 else config.hidden_frac

    def weights(shape: tuple[int, int], output_frac: int, *, bias: bool) -> WeightIntegers:
        frac = max(int(rng.integers(5, 9)), output_frac - input_frac)
        return _weights(rng, shape, frac, bias=bias)

    square = (features, features)
    query, key, value = (
        weights(square, frac, bias=config.projection_bias)
        for frac in (config.query_frac, config.key_frac, config.value_frac)
    )
    last = layer == config.attention_layers - 1
    hidden = None if last else weights((features, 2 * features), config.hidden_frac, bias=True)
    return AttentionIntegers(query=query, key=key, value=value, hidden=hidden)


def _mlp(rng: np.random.Generator, input_frac: int, output_frac: int) -> MlpIntegers:
    """Shifts are so that means of cues and scores of tokens reach most of the output's range."""
    units = CoreConfig.hidden_units
    hidden_shift = int(rng.integers(0, 5) if input_frac == CoreConfig.cue_frac else rng.integers(3, 8))
    shift = int(rng.integers(5, 10))
    largest = int(rng.choice([200, 20_000]))
    hidden = _weights(rng, (units, 3), hidden_shift + HIDDEN_FRAC - input_frac, largest_bias=largest)
    output = _weights(rng, (1, units), shift + output_frac - HIDDEN_FRAC, largest_bias=largest)
    return MlpIntegers(hidden, output)


def _k_table(rng: np.random.Generator, config: SpartaConfig) -> NDArray[np.int64]:
    """The paper's, or one where every output of the MLP has its own K."""
    if rng.integers(2):
        return k_table(config.tokens, config.k_min)
    return rng.integers(config.k_min, config.tokens + 1, 256)


def _tables(rng: np.random.Generator, config: SpartaConfig) -> ScoreIntegers:
    """Smooth and coarse, so that equal scores occur, or with entries of the whole range, so that sums saturate."""
    entries = (config.timesteps << CoreConfig.cue_frac) + 1

    def tables() -> NDArray[np.int64]:
        if rng.random() < 0.2:
            return rng.integers(_TABLE.min, _TABLE.max + 1, (4, entries))
        slopes = rng.uniform(-0.6, 0.6, (4, 1)) * np.arange(entries)
        return (slopes + rng.integers(-8, 9, (4, entries))).astype(np.int64) & -4

    return ScoreIntegers(tables(), tables())


def _spiking(
    rng: np.random.Generator, config: SpartaConfig, inputs: NDArray[np.uint8]
) -> tuple[SpikingIntegers, ...]:
    """Weights and neurons of the stem's layers, one after the other, then of the branches."""
    layers, spikes = [], inputs
    for n, stage in enumerate(SpartaNetwork(config).spiking):
        layer, fired = _alive(rng, config, stage, spikes)
        layers.append(layer)
        if n < len(config.stem):
            spikes = fired
    return tuple(layers)


def _alive(
    rng: np.random.Generator, config: SpartaConfig, stage: SpikingConv, spikes: NDArray[np.uint8]
) -> tuple[SpikingIntegers, NDArray[np.uint8]]:
    """A layer that fires for these inputs, and its spikes."""
    memory = stage.hilif.tau is not None
    wide = 8 if stage.direct else int(np.log2(stage.cell**2))
    while True:
        conv = _weights(
            rng,
            tuple(stage.conv.layer.weight.shape),
            config.membrane_frac + int(rng.integers(0, 4)) + wide,
            excitation=20,
        )
        hilif, fired = _calibrated(rng, config, stage, conv, spikes, memory=memory)
        if fired.mean() >= _SMALLEST_RATE:
            return SpikingIntegers(conv, hilif), fired


def _calibrated(
    rng: np.random.Generator,
    config: SpartaConfig,
    stage: SpikingConv,
    conv: WeightIntegers,
    spikes: NDArray[np.uint8],
    *,
    memory: bool,
) -> tuple[HILIFIntegers, NDArray[np.uint8]]:
    """Neurons whose thresholds are quantiles of their free membranes, and their spikes."""
    layer, steps = stage.shape, 1 if stage.direct else config.timesteps
    frames = torch.from_numpy(spikes).double()
    frames = functional.avg_pool2d(frames.reshape(-1, *spikes.shape[-3:]), stage.cell, divisor_override=1)
    current = functional.conv2d(
        frames,
        torch.from_numpy(conv.weight).double(),
        torch.from_numpy(conv.bias).double(),
        stride=layer.stride,
        padding=layer.pad,
    ).unflatten(0, (-1, steps))
    x = saturate(floor_shift(current.long().numpy(), conv.frac - config.membrane_frac), config.membrane)
    if stage.direct:
        x = np.repeat(x, config.timesteps, axis=1)
    leak = rng.integers(64, 256, layer.channels) if memory else np.full(layer.channels, _MEMORYLESS)
    never = np.full(layer.channels, config.membrane.max)
    v_reset = config.layer_v_reset(layer)
    free, _ = _integrate(x, leak, never, v_reset, soft=False)
    silence = rng.uniform(0.4, 0.65, layer.channels)
    threshold = np.array([np.quantile(free[:, :, c], silence[c]) for c in range(layer.channels)])
    hilif = HILIFIntegers(leak, np.maximum(threshold.astype(np.int64), 1))
    _, fired = _integrate(x, hilif.leak, hilif.threshold, v_reset, soft=layer.reset == "soft")
    return hilif, fired


def _integrate(
    x: NDArray[np.int64], leak: NDArray[np.int64], threshold: NDArray[np.int64], v_reset: int, *, soft: bool
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Charged membranes and spikes of currents x (samples, T, C, H, W), all in integers."""
    leak, threshold = leak.reshape(-1, 1, 1), threshold.reshape(-1, 1, 1)
    v = np.full_like(x[:, 0], v_reset)
    charged, fired = np.empty_like(x), np.empty(x.shape, np.uint8)
    for t in range(x.shape[1]):
        v = v + (((x[:, t] - v) * leak) >> CoreConfig.tau_bits)
        charged[:, t], fired[:, t] = v, v >= threshold
        v = np.where(v >= threshold, v - threshold if soft else v_reset, v)
    return charged, fired
