"""Random small configurations that use the parts of SPARTA in all combinations and fit the ``tiny`` core."""

from dataclasses import replace

import numpy as np

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.errors import ConfigError
from sparta_quant.config import CUES, Branches, Feedback, SpartaConfig, StemLayer

__all__ = ["random_config"]

_CORE = NAMED_CONFIGS["tiny"]
_FEWEST_TOKENS = 4
_PLANES = 8
"""Bit planes of pixels, tokens and pooled features."""


def random_config(rng: np.random.Generator, name: str) -> SpartaConfig:
    """A configuration of random shape with random parts.

    It has 1 to 3 stem layers with kernels of 1, 3 and 5 and strides of 1 and 2, 1 to 8 steps, 4 to 16 grid tokens
    of at most 32 features, 1 or 2 attention layers and 2 to 10 classes.
    """
    while True:
        try:
            config = _with_selection(rng, _with_stem(rng, name))
        except ConfigError:
            continue
        if _fits(config):
            return config


def _with_stem(rng: np.random.Generator, name: str) -> SpartaConfig:
    """Input, stem and branches."""
    height = int(rng.integers(4, 11))
    branched = bool(rng.integers(2))
    width = height if branched else int(rng.integers(4, 11))
    stem = tuple(_layer(rng) for _ in range(int(rng.integers(1, 4))))
    layers = 1 + int(rng.random() < 0.4)
    token_frac, value_frac, hidden_frac = (int(rng.integers(2, 6)) for _ in range(3))
    if layers > 1:
        token_frac = value_frac
    config = SpartaConfig(
        name=name,
        timesteps=int(rng.integers(1, _CORE.max_steps + 1)),
        input=(int(rng.integers(1, 4)), height, width),
        coding="direct" if rng.random() < 0.25 else "spikes",
        stem=stem,
        attention_layers=layers,
        classes=int(rng.integers(2, 11)),
        default_k=1,
        projection_bias=bool(rng.integers(2)),
        v_reset=int(rng.integers(-30, 9)),
        membrane_frac=int(rng.integers(4, 9)),
        token_frac=token_frac,
        query_frac=int(rng.integers(2, 6)),
        key_frac=int(rng.integers(2, 6)),
        value_frac=value_frac,
        hidden_frac=hidden_frac,
        pooled_frac=int(rng.integers(-2, 3)),
    )
    if not branched or not _FEWEST_TOKENS <= config.grid_tokens <= _CORE.max_tokens:
        return config
    cells = int(rng.choice([cells for cells in range(1, config.grid[0] + 1) if config.grid[0] % cells == 0]))
    fine, local, context = rng.permutation([_CORE.line, _CORE.line, _CORE.line * int(rng.integers(1, 3))])
    branches = Branches(
        fine=int(fine),
        local=int(local),
        context=int(context),
        cells=cells,
        reset="soft" if rng.integers(2) else "hard",
    )
    return replace(config, branches=branches)


def _with_selection(rng: np.random.Generator, config: SpartaConfig) -> SpartaConfig:
    """Everything after the spikes."""
    tokens = int(rng.integers(2, _CORE.max_tokens + 1)) if rng.random() < 0.4 else None
    heads = [heads for heads in (1, 2, 3, 4) if config.features % (heads * _CORE.lanes) == 0] or [1]
    count = tokens or config.grid_tokens
    dynamic = bool(rng.integers(2))
    return replace(
        config,
        timing_attention=bool(rng.integers(2)),
        msp_cues=tuple(cue for cue in CUES if rng.random() < 0.8),
        groups=tokens,
        fusion=bool(rng.integers(2)),
        spatial=rng.random() < 0.8,
        dynamic_k=dynamic,
        k_min=int(rng.integers(1, count + 1, 3).min()),
        default_k=0 if dynamic and rng.integers(2) else int(rng.integers(1, count + 1)),
        priority=bool(rng.integers(2)),
        temperature=bool(rng.integers(2)),
        heads=int(rng.choice(heads)),
        feedback=_feedback(rng) if rng.random() < 0.4 else None,
    )


def _feedback(rng: np.random.Generator) -> Feedback:
    return Feedback(
        gain=int(rng.integers(1, 256)),
        limit=int(rng.choice([3, 50, 4095])),
        rate_shift=int(rng.integers(0, 5)),
    )


def _layer(rng: np.random.Generator) -> StemLayer:
    kernel = int(rng.choice([1, 3, 5]))
    return StemLayer(
        channels=int(rng.choice([3, 4, 5, 8, 12, 16])),
        kernel=kernel,
        stride=int(rng.choice([1, 2])),
        pad=int(rng.integers(0, kernel // 2 + 1)),
        reset="soft" if rng.integers(2) else "hard",
    )


def _fits(config: SpartaConfig) -> bool:
    """Whether tokens, features, descriptors, weights and spikes fit the tiny core, by upper bounds."""
    return (
        _FEWEST_TOKENS <= config.grid_tokens <= _CORE.max_tokens
        and config.features <= _CORE.max_features
        and _descriptors(config) <= _CORE.layers
        and _weight_rows(config) <= _CORE.weight_rows
        and _spike_lines(config) <= _CORE.spike_lines
    )


def _descriptors(config: SpartaConfig) -> int:
    scales, layers = len(config.scale_channels), config.attention_layers
    spiking = len(config.stem) + (scales if config.branches else 0)
    selection = 3 + scales + sum((config.groups is not None, config.priority))
    attention = layers * (4 + config.heads) - 1
    return spiking + selection + attention + 3 + (config.feedback is not None)


def _weight_rows(config: SpartaConfig) -> int:
    def rows(outputs: int, window: int) -> int:
        return -(-outputs // _CORE.lanes) * (_CORE.header_rows + window)

    inputs = (config.input, *config.shapes)
    total = sum(
        rows(layer.channels, layer.kernel**2 * _padded(inputs[n][0])) for n, layer in enumerate(config.stem)
    )
    channels, features = _padded(config.stem[-1].channels), _padded(config.features)
    if config.branches:
        side = config.grid[0] // config.branches.cells
        windows = (1, 9, side * side)
        total += sum(
            rows(outputs, size * channels)
            for outputs, size in zip(config.scale_channels, windows, strict=True)
        )
    layers = config.attention_layers
    total += 3 * layers * rows(features, features) + (layers - 1) * rows(features, 2 * features)
    return total + rows(config.classes, features)


def _spike_lines(config: SpartaConfig) -> int:
    def lines(positions: int, channels: int, steps: int) -> int:
        return -(-positions * _padded(channels) // _CORE.line) * _CORE.groups(steps)

    steps = config.timesteps
    total = sum(
        lines(height * width, channels, max(steps, _PLANES))
        for channels, height, width in (config.input, *config.shapes)
    )
    total += sum(lines(config.grid_tokens, channels, steps) for channels in config.scale_channels)
    rows = config.tokens * (1 + 2 * config.attention_layers) + 1
    return total + lines(rows, config.features, _PLANES)


def _padded(channels: int) -> int:
    return -(-channels // _CORE.line) * _CORE.line
