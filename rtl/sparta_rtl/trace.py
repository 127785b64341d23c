"""Trace outputs: every value that a layer produces, as it is produced. docs/host.md lists them."""

from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from sparta_hw.config import CoreConfig

__all__ = ["TraceSignature"]


class TraceSignature(wiring.Signature):
    """Events of one core, each with ``valid``; nothing in the core reads them, so synthesis may drop them."""

    def __init__(self, config: CoreConfig) -> None:
        def event(**members: int) -> wiring.Signature:
            return wiring.Signature({name: Out(width) for name, width in {"valid": 1, **members}.items()})

        super().__init__(
            {
                "layer": Out(8),
                "layer_busy": Out(1),
                "spikes": Out(event(line=16, mask=config.segments, data=config.line * config.steps)),
                "values": Out(event(destination=3, row=16, data=config.lanes * config.token_bits)),
                "record": Out(event(token=16, msp=16, temporal=16, first=16, interval=16, rate=16)),
                "score": Out(event(token=16, value=16, spatial=16)),
                "select": Out(event(rank=16, token=16)),
                "topk": Out(16),
                "state": Out(32),
                "attention": Out(event(rank=16, feature=16, value=config.token_bits)),
            }
        )
