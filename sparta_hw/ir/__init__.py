"""The typed IR: operations named after the paper's parts, values with shape, fixed-point type and kind.

Shapes are per sample, without the batch dimension. A graph is a tuple of operations in execution order; each
produces exactly the values it names. Operations are frozen: a pass builds a new graph.
"""

from sparta_hw.ir.attention import FeedbackController, Projection, SparseAttention, TokenPool
from sparta_hw.ir.graph import Graph
from sparta_hw.ir.selection import (
    CentreSurround,
    CueScale,
    DynamicK,
    FuseScores,
    GateSource,
    GatherTokens,
    PatchGroup,
    TokenGate,
    TokenMLP,
    TokenPriority,
    TokenScore,
    TopKTokens,
)
from sparta_hw.ir.spiking import SpikeCount, SpikeCues, SpikingConv, ThresholdFeedback
from sparta_hw.ir.values import IntArray, Kind, Operation, Value

__all__ = [
    "CentreSurround",
    "CueScale",
    "DynamicK",
    "FeedbackController",
    "FuseScores",
    "GateSource",
    "GatherTokens",
    "Graph",
    "IntArray",
    "Kind",
    "Operation",
    "PatchGroup",
    "Projection",
    "SparseAttention",
    "SpikeCount",
    "SpikeCues",
    "SpikingConv",
    "ThresholdFeedback",
    "TokenGate",
    "TokenMLP",
    "TokenPool",
    "TokenPriority",
    "TokenScore",
    "TopKTokens",
    "Value",
]
