"""Networks that several tests share."""

import pytest
import torch

from sparta_quant.checkpoint import DIGITS_CHECKPOINT, Measured, load_checkpoint
from sparta_quant.config import Branches, Feedback, SpartaConfig, StemLayer
from sparta_quant.data import Dataset, load_digits
from sparta_quant.network import SpartaNetwork


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def trained() -> tuple[SpartaNetwork, Measured]:
    """The digits network of the repository."""
    return load_checkpoint(DIGITS_CHECKPOINT)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """The test split."""
    return load_digits("test")


@pytest.fixture
def tiny_config() -> SpartaConfig:
    """Nine tokens of six features: small enough to train in a test."""
    return SpartaConfig(
        name="tiny",
        timesteps=8,
        input=(2, 16, 16),
        stem=(
            StemLayer(channels=4, kernel=5, stride=3, pad=1, reset="hard"),
            StemLayer(channels=6, kernel=3, stride=2, pad=1, reset="soft"),
        ),
        classes=10,
        default_k=4,
    )


@pytest.fixture
def full_config() -> SpartaConfig:
    """Every part of the paper: 12 tokens of 24 features from a grid of 16."""
    return SpartaConfig(
        name="full",
        timesteps=8,
        input=(2, 16, 16),
        stem=(
            StemLayer(channels=4, kernel=5, stride=2, pad=2, reset="hard"),
            StemLayer(channels=8, kernel=3, stride=2, pad=1, reset="soft"),
        ),
        branches=Branches(fine=8, local=8, context=8, cells=2),
        timing_attention=True,
        groups=12,
        fusion=True,
        dynamic_k=True,
        priority=True,
        temperature=True,
        heads=2,
        attention_layers=2,
        feedback=Feedback(),
        classes=10,
        default_k=0,
        query_frac=3,
        key_frac=3,
    )
