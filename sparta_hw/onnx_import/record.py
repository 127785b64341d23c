"""The record of grid tokens while the graph is read: five tensors that one TokenScore writes."""

from collections.abc import Mapping

from sparta_hw.config import CoreConfig
from sparta_hw.ir import CueScale, TokenScore, Value
from sparta_hw.numerics import FixedPoint
from sparta_hw.onnx_import.symbols import RecordPart, Symbol

__all__ = ["FIELDS", "SCORES", "Record"]

SCORES = ("msp", "temporal")
FIELDS = (*SCORES, "first", "interval", "rate")

_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)
_CUE = FixedPoint(CoreConfig.cue_bits, CoreConfig.cue_frac, signed=False)


class Record:
    """The fields that other operations read so far.

    Parameters
    ----------
    node : str
        The first node of MSP.
    scales : tuple of CueScale
        All scales, in the order of their cues.
    position : int
        Where TokenScore belongs among the operations.
    """

    def __init__(self, node: str, scales: tuple[CueScale, ...], position: int) -> None:
        self.node = node
        self.scales = scales
        self.position = position
        self._values: dict[str, Value] = {}

    @property
    def tokens(self) -> int:
        """Grid tokens."""
        scale = self.scales[0]
        return scale.cues[0].shape[0] if scale.cells is None else len(scale.cells)

    def value(self, part: RecordPart, name: str) -> tuple[Value | None, str]:
        """The value of a field that the tensor ``name`` holds, or what is wrong with it."""
        if set(part.scales) != set(self.scales):
            return (
                None,
                "comes from other nodes of MSP than the rest of the record; use one MSP for each scale",
            )
        if part.clipped != (part.field in SCORES):
            return None, f"is {part.field} without saturation; Clip it to {_SCORE}"
        kind = _SCORE if part.field in SCORES else _CUE
        value = self._values.setdefault(part.field, Value(name, (self.tokens,), kind))
        if value.name != name:
            return None, f"is {part.field} again, which others read from {value.name!r}; use one tensor"
        return value, ""

    def operation(self, symbols: Mapping[str, Symbol]) -> tuple[TokenScore | None, list[str]]:
        """The TokenScore, or why there is none; fields that nothing reads are found among all ``symbols``."""
        for name, symbol in symbols.items():
            if isinstance(symbol, RecordPart) and symbol.field not in self._values:
                self.value(symbol, name)
        missing = [field for field in FIELDS if field not in self._values]
        if missing:
            return None, [
                f"{self.node} (sparta::MSP): no tensor is {field} of all {len(self.scales)} scales"
                f"{', clipped' if field in SCORES else ''}; add up the results of every MSP"
                for field in missing
            ]
        msp, temporal, first, interval, rate = (self._values[field] for field in FIELDS)
        outputs = (msp, temporal, first, interval, rate)
        return TokenScore(node=self.node, output=msp, scales=self.scales, outputs=outputs), []
