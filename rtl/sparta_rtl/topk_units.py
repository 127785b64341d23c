"""The selection unit of a core, as its configuration chooses it."""

from collections.abc import Mapping

from sparta_hw.config import CoreConfig
from sparta_rtl.topk import TopKParams, TopKUnit
from sparta_rtl.topk_radix import TopKRadix
from sparta_rtl.topk_sorter import TopKSorter

__all__ = ["TOPK_UNITS", "topk_params", "topk_unit"]

TOPK_UNITS: Mapping[str, type[TopKUnit]] = {"sorter": TopKSorter, "radix": TopKRadix}
"""Units by ``CoreConfig.topk``."""


def topk_params(config: CoreConfig) -> TopKParams:
    """Size of the selection unit of a core."""
    return TopKParams(tokens=config.max_tokens, cells=config.max_topk, key_bits=config.score_bits)


def topk_unit(config: CoreConfig) -> TopKUnit:
    """The selection unit of a core."""
    return TOPK_UNITS[config.topk](topk_params(config))
