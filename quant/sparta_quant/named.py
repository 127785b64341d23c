"""Networks by name: sizes for each kind of input, all parts of the paper on in all but ``digits`` and ``mlp``."""

import json
from dataclasses import replace
from pathlib import Path

from sparta_hw.errors import ConfigError
from sparta_quant.config import Branches, Feedback, SpartaConfig, StemLayer

__all__ = ["NAMED_NETWORKS", "core_name", "named_network"]


def _all_parts(**fields: object) -> SpartaConfig:
    """Every part of the paper switched on, and K of each sample its own."""
    parts = {
        "timing_attention": True,
        "fusion": True,
        "spatial": True,
        "dynamic_k": True,
        "priority": True,
        "temperature": True,
        "feedback": Feedback(),
        "default_k": 0,
    }
    return SpartaConfig(**{**parts, **fields})  # type: ignore[arg-type]


_MANY_STEPS = {"token_frac": 2, "value_frac": 2, "hidden_frac": 2, "query_frac": 3, "key_frac": 3}
"""Formats for 16 steps or more: tokens are counts of up to T spikes times a gain, and reach about 2 T."""

_DIGITS = SpartaConfig(
    name="digits",
    timesteps=8,
    input=(2, 16, 16),
    stem=(
        StemLayer(channels=16, kernel=5, stride=2, pad=2, reset="hard"),
        StemLayer(channels=32, kernel=3, stride=1, pad=1, reset="soft"),
    ),
    classes=10,
    default_k=22,
)

_MLP = SpartaConfig(
    name="mlp",
    timesteps=25,
    input=(1, 28, 28),
    coding="rate",
    stem=(
        StemLayer(channels=128, kernel=28, stride=1, pad=0, reset="soft"),
        StemLayer(channels=10, kernel=1, stride=1, pad=0, reset="soft"),
    ),
    readout="counts",
    weight_bits=6,
    classes=10,
)

_NMNIST = _all_parts(
    name="nmnist",
    timesteps=16,
    input=(2, 34, 34),
    stem=(
        StemLayer(channels=24, kernel=5, stride=2, pad=2, reset="hard"),
        StemLayer(channels=48, kernel=3, stride=2, pad=1, reset="soft"),
        StemLayer(channels=64, kernel=3, stride=1, pad=1, reset="soft"),
    ),
    branches=Branches(fine=32, local=64, context=32, cells=3),
    groups=64,
    heads=2,
    attention_layers=2,
    classes=10,
    **_MANY_STEPS,
)

_GESTURE = _all_parts(
    name="gesture",
    timesteps=20,
    input=(2, 128, 128),
    stem=(
        StemLayer(channels=16, kernel=5, stride=4, pad=2, reset="hard"),
        StemLayer(channels=32, kernel=3, stride=2, pad=1, reset="soft"),
    ),
    branches=Branches(fine=16, local=32, context=16, cells=4),
    heads=2,
    attention_layers=2,
    classes=11,
    **_MANY_STEPS,
)

_CIFAR10 = _all_parts(
    name="cifar10",
    timesteps=4,
    input=(3, 32, 32),
    coding="direct",
    stem=(
        StemLayer(channels=32, kernel=3, stride=1, pad=1, reset="hard"),
        StemLayer(channels=64, kernel=3, stride=2, pad=1, reset="soft"),
        StemLayer(channels=64, kernel=3, stride=2, pad=1, reset="soft"),
    ),
    branches=Branches(fine=32, local=64, context=32, cells=2),
    heads=4,
    attention_layers=2,
    classes=10,
)

_PAPER = _all_parts(
    name="paper",
    timesteps=20,
    input=(2, 128, 128),
    stem=(
        StemLayer(channels=64, kernel=3, stride=2, pad=1, reset="hard"),
        StemLayer(channels=128, kernel=3, stride=2, pad=1, reset="soft"),
        StemLayer(channels=256, kernel=3, stride=2, pad=1, reset="soft"),
    ),
    branches=Branches(fine=128, local=256, context=128, cells=4),
    heads=8,
    attention_layers=10,
    classes=11,
    **_MANY_STEPS,
)

NAMED_NETWORKS = {
    config.name: config
    for config in (
        _DIGITS,
        _MLP,
        _NMNIST,
        _GESTURE,
        replace(_GESTURE, name="gesture16", timesteps=16),
        _CIFAR10,
        _PAPER,
    )
}
"""``digits``, the embedded default; ``mlp``, 784-128-10 neurons whose spikes are counted; ``nmnist``, 34x34 events;
``gesture`` and ``gesture16``, 128x128 events in 20 and 16 steps; ``cifar10``, pixels with direct coding; ``paper``,
the 13.8 M parameters of the paper's Table 5.
"""


def named_network(source: str) -> SpartaConfig:
    """One of :data:`NAMED_NETWORKS`, or the network of a JSON file as ``sparta-hw train`` writes it.

    Raises
    ------
    ConfigError
        There is no network of this name, or the file holds none.
    """
    if source in NAMED_NETWORKS:
        return NAMED_NETWORKS[source]
    path = Path(source)
    if not path.is_file():
        names = ", ".join(NAMED_NETWORKS)
        raise ConfigError(f"no network {source!r}: name one of {names}, or a JSON file")
    try:
        return SpartaConfig.from_dict(json.loads(path.read_text()))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{path}: not the configuration of a network: {error}") from error


def core_name(network: str) -> str:
    """The core configuration that a named network is made for; others are made for one of their own name."""
    return {"gesture16": "gesture"}.get(network, network)
