"""The trace outputs of a core, from the units that produce the values."""

from typing import Any

from amaranth.hdl import Module, Signal

from sparta_rtl.token_path import TokenPath

__all__ = ["connect_trace"]


def connect_trace(m: Module, core: Any) -> None:
    """Drive ``core.trace`` (:class:`~sparta_rtl.trace.TraceSignature`)."""
    trace, write = core.trace, core.spike_memory.write
    started = Signal.like(trace.layer)
    # The last spikes of a layer may still wait for the cue unit when the next descriptor is there.
    with m.If(core.sequencer.loads.any()):
        m.d.sync += started.eq(core.sequencer.layer)
    m.d.comb += [
        trace.layer.eq(started),
        trace.layer_busy.eq(core.sequencer.layer_busy),
        trace.spikes.valid.eq(write.en.any() & core.sequencer.busy),
        trace.spikes.line.eq(write.addr),
        trace.spikes.mask.eq(write.en),
        trace.spikes.data.eq(write.data),
    ]
    if core.tokens is not None:
        _connect_tokens(m, core, core.tokens)


def _connect_tokens(m: Module, core: Any, tokens: TokenPath) -> None:
    trace = core.trace
    score, rank, o = tokens.score, tokens.rank, tokens.attention.o
    m.d.comb += [
        trace.values.valid.eq(tokens.value_valid),
        trace.values.destination.eq(core.layer.destination),
        trace.values.row.eq(tokens.value_row),
        trace.values.data.eq(tokens.value_data),
        trace.record.valid.eq(score.record_valid),
        trace.record.token.eq(score.record_token),
        trace.score.valid.eq(rank.score_valid),
        trace.score.token.eq(rank.score_token),
        trace.score.value.eq(rank.score_value),
        trace.score.spatial.eq(rank.score_spatial),
        trace.select.valid.eq(rank.select_valid),
        trace.select.rank.eq(rank.select_rank),
        trace.select.token.eq(rank.select_token),
        trace.topk.eq(rank.topk),
        trace.state.eq(tokens.feedback.state),
        trace.attention.valid.eq(o.valid & o.ready),
        trace.attention.rank.eq(o.payload.rank),
        trace.attention.feature.eq(o.payload.feature),
        trace.attention.value.eq(o.payload.value),
    ]
    for name in ("msp", "temporal", "first", "interval", "rate"):
        m.d.comb += getattr(trace.record, name).eq(score.record[name])
