"""Tables of the token units: scores, factors, small MLPs."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import MlpSet
from sparta_hw.ir import (
    DynamicK,
    FuseScores,
    Graph,
    SparseAttention,
    TokenGate,
    TokenMLP,
    TokenPriority,
    TokenScore,
)

__all__ = ["FACTOR_ROWS", "factor_rows", "mlp_rows", "score_tables"]

IntArray = NDArray[np.int64]

FACTOR_ROWS = 256


def score_tables(graph: Graph) -> IntArray:
    """MSP and temporal tables, (scales, 2, 4, T * 8 + 1); no scales without tokens."""
    score = next((op for op in graph.operations if isinstance(op, TokenScore)), None)
    if score is None:
        return np.zeros((0, 2, 4, 1), np.int64)
    return np.array([(scale.msp_tables, scale.temporal_tables) for scale in score.scales])


def factor_rows(graph: Graph) -> IntArray:
    """Rows of 32 bits: TIMING in bits 7..0, TEMPERATURE in bits 15..8, K in bits 31..16; zeros where unused."""
    rows = np.zeros(FACTOR_ROWS, np.int64)
    for op in graph.operations:
        match op:
            case TokenGate(timing=table) if table is not None:
                rows[: len(table)] |= table
            case SparseAttention(temperature=table) if table is not None:
                rows[: len(table)] |= table << 8
            case DynamicK(table=table):
                rows |= table << 16
    return rows


def mlp_rows(graph: Graph) -> IntArray:
    """Rows of 64 bits of the MLP memory, eight a set; zeros where a network has none."""
    rows = np.zeros((len(MlpSet), CoreConfig.hidden_units), np.int64)
    for op in graph.operations:
        match op:
            case FuseScores(mlp=mlp) if mlp is not None:
                rows[MlpSet.FUSION] = _packed(mlp)
            case DynamicK():
                rows[MlpSet.SPARSITY] = _packed(op.mlp)
            case TokenPriority():
                rows[MlpSet.PRIORITY] = _packed(op.mlp)
    return rows.reshape(-1)


def _packed(mlp: TokenMLP) -> IntArray:
    weights = np.column_stack([mlp.hidden_weight, mlp.weight]) & 0xFF
    places = 8 * np.arange(weights.shape[1])
    return (weights << places).sum(axis=1) | (mlp.hidden_bias & 0xFFFFFF) << 32
