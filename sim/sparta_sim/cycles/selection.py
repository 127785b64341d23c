"""Cycles of SCORE and RANK descriptors, from ``start`` to ``done``."""

from collections.abc import Mapping

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import RankBy
from sparta_rtl.rank import MLP_PERIOD, SPATIAL_PERIOD
from sparta_rtl.score import SCORE_LATENCY
from sparta_rtl.token_reader import READ_CYCLES, READ_SPATIAL_CYCLES
from sparta_rtl.token_scorer import MLP_SCORE_CYCLES, SCORE_CYCLES
from sparta_rtl.topk_choice import choice_cycles
from sparta_rtl.topk_units import TOPK_UNITS, topk_params

__all__ = ["rank_cycles", "rank_period", "score_cycles"]


def score_cycles(fields: Mapping[str, int]) -> int:
    """Clock cycles of the score unit: ``tokens * scales + 9``.

    One row of cues a token and scale, and 9 cycles from ``start`` to ``done`` around them.

    Parameters
    ----------
    fields : mapping
        Descriptor fields (:func:`sparta_hw.descriptor.decode`); ``tokens`` and ``scales`` count.
    """
    return fields["tokens"] * fields["scales"] + SCORE_LATENCY


def rank_period(fields: Mapping[str, int]) -> int:
    """Cycles a token: one read of a record, of its neighbours with ``spatial``, or one hidden unit of the MLP each."""
    by = RankBy(fields["by"])
    if by is RankBy.FUSION and fields["spatial"]:
        return SPATIAL_PERIOD
    return MLP_PERIOD if by in (RankBy.FUSION, RankBy.PRIORITY) else 1


def rank_cycles(config: CoreConfig, fields: Mapping[str, int], topk: int, request: int) -> int:
    """Clock cycles of the rank unit.

    Tokens are read one in a period P, scored, and listed one a cycle::

        RATE            N + groups + 3 rounds + 7         rounds = ceil(groups / N)
        MSP             N + K + 15
        FUSION          8 N + K + 26                      priority too
        with spatial    9 N + K + 34
        dynamic         P N + K - P + 15 + choice         choice = 2 b + 39, b = bits of max_tokens * 2047

    with a sorter; with a radix selection (N - K) // 4 + 28 more, and no RATE.

    Parameters
    ----------
    config : CoreConfig
        The core.
    fields : mapping
        Descriptor fields; ``by``, ``tokens``, ``groups``, ``spatial`` and ``dynamic`` count.
    topk : int
        K, at least 1.
    request : int
        K that the host asks for, 0 for a dynamic one.
    """
    by, tokens, period = RankBy(fields["by"]), fields["tokens"], rank_period(fields)
    spatial = period == SPATIAL_PERIOD
    first = TOPK_UNITS[config.topk].first_cycles(topk_params(config), tokens, topk)
    last_token = 1 + (tokens - 1) * period
    if by is RankBy.RATE:
        rounds = -(-fields["groups"] // tokens)
        return last_token + READ_CYCLES + SCORE_CYCLES + fields["groups"] + rounds * (first - 1) + 2
    if by is not RankBy.PRIORITY and fields["dynamic"] and request == 0:
        chosen = last_token + READ_CYCLES + choice_cycles(config)
    else:
        read = READ_SPATIAL_CYCLES if spatial else READ_CYCLES
        chosen = last_token + read + (MLP_SCORE_CYCLES if period > 1 else SCORE_CYCLES)
    return chosen + first + topk + 6
