"""A network: operations in execution order."""

from dataclasses import dataclass, field

from sparta_hw.ir.attention import FeedbackController
from sparta_hw.ir.selection import DynamicK, FuseScores, TokenScore
from sparta_hw.ir.values import Operation, Value

__all__ = ["Graph"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A network: operations in execution order.

    Parameters
    ----------
    name : str
        For reports.
    input : Value
        Spikes (T, C, H, W), or integers u8 (C, H, W) for direct coding.
    operations : tuple of Operation
        Each reads only values of earlier ones.
    default_k : int
        K when the user does not give one; 0: each sample's own (:class:`DynamicK`), or no tokens at all.
    """

    name: str
    input: Value
    operations: tuple[Operation, ...] = field(default_factory=tuple)
    default_k: int

    @property
    def tokens(self) -> int:
        """N, the token count; 0 for a network that counts spikes."""
        return next((op.output.shape[0] for op in self.operations if isinstance(op, FuseScores)), 0)

    @property
    def grid_tokens(self) -> int:
        """Positions of the token grid; 0 for a network that counts spikes."""
        return next((op.output.shape[0] for op in self.operations if isinstance(op, TokenScore)), 0)

    @property
    def ranks(self) -> int:
        """Rows of the values in rank order: the default K, or N where each sample has its own."""
        return self.default_k or self.tokens

    @property
    def dynamic(self) -> bool:
        """Whether the network can choose K itself."""
        return any(isinstance(op, DynamicK) for op in self.operations)

    @property
    def feedback(self) -> bool:
        """Whether an inference leaves a state for the next one."""
        return any(isinstance(op, FeedbackController) for op in self.operations)
