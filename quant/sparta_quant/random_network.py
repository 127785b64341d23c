"""Small untrained networks whose neurons fire: material for tests of the compiler and the core."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.errors import ConfigError
from sparta_hw.numerics import floor_shift, saturate
from sparta_quant.config import SpartaConfig, StemLayer
from sparta_quant.integers import (
    GateIntegers,
    HILIFIntegers,
    NetworkIntegers,
    ScoreIntegers,
    WeightIntegers,
)
from sparta_quant.network import SpartaNetwork

__all__ = ["random_network", "random_spikes"]

_MAX_TOKENS = 16
_MAX_FEATURES = 16
_CALIBRATION_SAMPLES = 16


def random_network(seed: int) -> SpartaNetwork:
    """A deployed network of random shape and random integers; the same one for the same seed.

    It has 1 to 3 stem layers with kernels of 1, 3 and 5 and strides of 1 and 2, 1 to 8 steps, 4 to 16 tokens
    of at most 16 features and 2 to 10 classes. Thresholds are set from the currents of random spikes, so that
    neurons of every layer fire.
    """
    rng = np.random.default_rng(seed)
    config = _random_config(rng, seed)
    spikes = random_spikes(config, _CALIBRATION_SAMPLES, seed)
    convs, hilifs = [], []
    for n, layer in enumerate(config.stem):
        inputs = (config.input, *config.shapes)[n][0]
        conv = _random_weights(
            rng,
            (layer.channels, inputs, layer.kernel, layer.kernel),
            config.membrane_frac + int(rng.integers(0, 4)),
            excitation=20,
        )
        hilif, spikes = _calibrated(rng, config, layer, conv, spikes)
        convs.append(conv)
        hilifs.append(hilif)
    features = config.features
    query, key, value = (
        _random_weights(rng, (features, features), int(rng.integers(5, 9)), bias=config.projection_bias)
        for _ in range(3)
    )
    return SpartaNetwork.from_integers(
        NetworkIntegers(
            config=config,
            convs=tuple(convs),
            hilifs=tuple(hilifs),
            score=_random_tables(rng, config.timesteps),
            gate=GateIntegers(int(rng.integers(32, 256)), int(rng.integers(0, 64))),
            query=query,
            key=key,
            value=value,
            classifier=_random_weights(rng, (config.classes, features), int(rng.integers(4, 10))),
        )
    )


def random_spikes(config: SpartaConfig, samples: int, seed: int) -> NDArray[np.uint8]:
    """Spikes (samples, T, C, H, W), each sample at its own rate between 5 and 50 %."""
    rng = np.random.default_rng(seed)
    rates = rng.uniform(0.05, 0.5, (samples, 1, 1, 1, 1))
    return (rng.random((samples, config.timesteps, *config.input)) < rates).astype(np.uint8)


def _random_config(rng: np.random.Generator, seed: int) -> SpartaConfig:
    while True:
        depth = int(rng.integers(1, 4))
        height, width = (int(size) for size in rng.integers(4, 11, 2))
        stem = tuple(_random_layer(rng) for _ in range(depth))
        try:
            config = SpartaConfig(
                name=f"random{seed}",
                timesteps=int(rng.integers(1, 9)),
                input=(int(rng.integers(1, 4)), height, width),
                stem=stem,
                classes=int(rng.integers(2, 11)),
                default_k=1,
                projection_bias=bool(rng.integers(2)),
                v_reset=int(rng.integers(-30, 9)),
                membrane_frac=int(rng.integers(4, 9)),
                token_frac=int(rng.integers(2, 7)),
                query_frac=int(rng.integers(2, 6)),
                key_frac=int(rng.integers(2, 6)),
                value_frac=int(rng.integers(2, 6)),
                pooled_frac=int(rng.integers(-2, 3)),
            )
        except ConfigError:
            continue
        if 4 <= config.tokens <= _MAX_TOKENS:
            return replace(config, default_k=int(rng.integers(1, config.tokens + 1)))


def _random_layer(rng: np.random.Generator) -> StemLayer:
    kernel = int(rng.choice([1, 3, 5]))
    return StemLayer(
        channels=int(rng.choice([3, 4, 5, 8, 12, _MAX_FEATURES])),
        kernel=kernel,
        stride=int(rng.choice([1, 2])),
        pad=int(rng.integers(0, kernel // 2 + 1)),
        reset="soft" if rng.integers(2) else "hard",
    )


def _random_weights(
    rng: np.random.Generator, shape: tuple[int, ...], frac: int, *, bias: bool = True, excitation: float = 0.0
) -> WeightIntegers:
    weight = np.rint(rng.normal(excitation, 50.0, shape)).clip(-127, 127).astype(np.int64)
    return WeightIntegers(weight, frac, rng.integers(-200, 201, shape[0]) if bias else None)


def _calibrated(
    rng: np.random.Generator,
    config: SpartaConfig,
    layer: StemLayer,
    conv: WeightIntegers,
    spikes: NDArray[np.uint8],
) -> tuple[HILIFIntegers, NDArray[np.uint8]]:
    """Neurons whose thresholds are quantiles of their free membranes, and their spikes."""
    current = torch.nn.functional.conv2d(
        torch.from_numpy(spikes).flatten(0, 1).double(),
        torch.from_numpy(conv.weight).double(),
        torch.from_numpy(conv.bias).double(),
        stride=layer.stride,
        padding=layer.pad,
    ).unflatten(0, spikes.shape[:2])
    x = saturate(floor_shift(current.long().numpy(), conv.frac - config.membrane_frac), config.membrane)
    leak = rng.integers(64, 256, layer.channels)
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


def _random_tables(rng: np.random.Generator, steps: int) -> ScoreIntegers:
    """Tables whose sums stay inside the score; coarse, so that equal scores occur."""
    entries = (steps << CoreConfig.cue_frac) + 1
    slopes = rng.uniform(-0.6, 0.6, (4, 1)) * np.arange(entries)
    return ScoreIntegers((slopes + rng.integers(-8, 9, (4, entries))).astype(np.int64) & -4)
