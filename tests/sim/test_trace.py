import numpy as np
import pytest
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.descriptor import Destination
from sparta_hw.ir import Kind
from sparta_hw.numerics import FixedPoint
from sparta_hw.tensor_layout import Memory, TensorLayout
from sparta_sim.trace import Event, Trace, trace_tensor

CONFIG = CoreConfig(name="test", lanes=4, steps=3, line=8, max_tokens=16, max_topk=8)
LAYER = 7
DATA_WORDS = 1
RNG = np.random.default_rng(3)


def record(event: Event, a: int, b: int = 0, mask: int = 0, data: int = 0, layer: int = LAYER) -> list[int]:
    return [event, layer, 99, a, b, mask, data & 0xFFFFFFFF]


def trace(records: list[list[int]]) -> Trace:
    return Trace(CONFIG, np.array(records, np.uint32).reshape(-1, 7), mask_words=1)


def spike_layout(
    shape: tuple[int, ...], kind: Kind, type: FixedPoint, pitch: int, steps: int
) -> TensorLayout:
    positions = shape[2] * shape[3] if kind is Kind.SPIKES else shape[0]
    groups = CONFIG.groups(steps)
    return TensorLayout(
        name="t", memory=Memory.SPIKES, shape=shape, kind=kind, type=type, pitch=pitch, steps=steps,
        groups=groups, base=40, descriptors=(LAYER,), lines=-(-positions * pitch // CONFIG.line) * groups,
    )  # fmt: skip


def line_records(layout: TensorLayout, values: NDArray) -> list[list[int]]:
    """Each line as two writes of half a line."""
    words = layout.pack(values, CONFIG)[:, 0]
    lines = [(layout.base + n, int(word)) for n, word in enumerate(words)]
    return [record(Event.SPIKES, line, mask=mask, data=word) for line, word in lines for mask in (1, 2)]


SPIKES = spike_layout((4, 5, 3, 2), Kind.SPIKES, FixedPoint(1, 0, False), 8, 4)
TOKENS = spike_layout((6, 7), Kind.INTEGERS, FixedPoint(8, 3, False), 8, 8)
SIGNED = spike_layout((6, 7), Kind.INTEGERS, FixedPoint(8, 3), 8, 8)


@pytest.mark.parametrize(("layout", "low", "high"), [(SPIKES, 0, 1), (TOKENS, 0, 255), (SIGNED, -128, 127)])
def test_spike_memory_tensors_come_back(layout: TensorLayout, low: int, high: int) -> None:
    values = RNG.integers(low, high + 1, layout.shape)
    traced = trace_tensor(trace(line_records(layout, values)), layout, 1)
    assert np.array_equal(traced.values, values)
    assert traced.written.all()
    assert not traced.stray


def test_a_masked_write_touches_its_segment_only() -> None:
    values = RNG.integers(0, 2, SPIKES.shape)
    records = line_records(SPIKES, values)
    blank = [record(Event.SPIKES, entry[3], mask=entry[5], data=0) for entry in records]
    mixed = [first if first[5] == 1 else second for first, second in zip(blank, records, strict=True)]
    traced = trace_tensor(trace(mixed), SPIKES, 1)
    assert not traced.values[:, :4].any()
    assert np.array_equal(traced.values[:, 4], values[:, 4])


def test_what_was_not_written_is_not_written() -> None:
    values = RNG.integers(0, 2, SPIKES.shape)
    # Line 2 holds steps 0 to 2 of pixel (0, 1): its second half is channel 4.
    records = [entry for entry in line_records(SPIKES, values) if not (entry[3] == 42 and entry[5] == 2)]
    written = trace_tensor(trace(records), SPIKES, 1).written
    assert np.argwhere(~written).tolist() == [[0, 4, 0, 1], [1, 4, 0, 1], [2, 4, 0, 1]]


def test_an_integer_with_a_missing_plane_is_not_written() -> None:
    records = line_records(TOKENS, RNG.integers(0, 256, TOKENS.shape))
    written = trace_tensor(trace(records[:-2]), TOKENS, 1).written
    assert written[:5].all()
    assert not written[5].any()


def test_other_descriptors_do_not_count() -> None:
    records = [record(Event.SPIKES, 40, mask=3, data=-1, layer=LAYER + 1)]
    assert not trace_tensor(trace(records), SPIKES, 1).written.any()


def test_a_write_outside_of_the_tensor_is_reported() -> None:
    records = [record(Event.SPIKES, 39, mask=1)]
    assert trace_tensor(trace(records), SPIKES, 1).stray == "line 39"


def plain(memory: Memory, shape: tuple[int, ...], pitch: int = 1) -> TensorLayout:
    return TensorLayout(
        name="t",
        memory=memory,
        shape=shape,
        kind=Kind.INTEGERS,
        type=FixedPoint(8, 0),
        pitch=pitch,
        descriptors=(LAYER,),
    )


def test_query_rows_come_back() -> None:
    values = RNG.integers(-128, 128, (3, 6))
    padded = np.pad(values, ((0, 0), (0, 2))).reshape(6, 4).astype(np.int8)
    records = [
        record(Event.VALUES, row, Destination.KEY, data=int(lanes.view("<u4")[0]))
        for row, lanes in enumerate(padded)
    ]
    traced = trace_tensor(trace(records), plain(Memory.KEY, (9, 6), pitch=8), 3)
    assert np.array_equal(traced.values, values)
    assert traced.written.all()
    wrong = trace_tensor(trace(records), plain(Memory.QUERY, (9, 6), pitch=8), 3)
    assert wrong.stray == "destination 2, row 0"
    assert not wrong.written.any()


def test_scores_are_signed_and_selections_ordered_by_rank() -> None:
    scores = [
        record(Event.SCORE, token, data=value & 0xFFFF | 5 << 16) for token, value in ((0, -7), (2, 300))
    ]
    traced = trace_tensor(trace(scores), plain(Memory.SCORE, (3,)), 2)
    assert traced.values.tolist() == [-7, 0, 300]
    assert traced.written.tolist() == [True, False, True]
    assert trace_tensor(trace(scores), plain(Memory.SPATIAL, (3,)), 2).values.tolist() == [5, 0, 5]
    ranks = [record(Event.SELECT, rank, data=token) for rank, token in ((1, 9), (0, 4), (2, 5))]
    traced = trace_tensor(trace(ranks), plain(Memory.SELECT, (9,)), 2)
    assert traced.values.tolist() == [4, 9]
    assert traced.stray == "rank 2"


def test_attention_features_beyond_the_tensor_are_padding() -> None:
    records = [record(Event.ATTENTION, 1, feature, data=(feature - 4) & 0xFF) for feature in range(8)]
    traced = trace_tensor(trace(records), plain(Memory.ATTENTION, (9, 6), pitch=8), 2)
    assert traced.values[1].tolist() == [-4, -3, -2, -1, 0, 1]
    assert traced.written.tolist() == [[False] * 6, [True] * 6]
    assert not traced.stray


def test_k_is_that_of_the_selection() -> None:
    ranks = [record(Event.SELECT, rank, b=2, data=token) for rank, token in ((0, 4), (1, 9))]
    assert trace_tensor(trace(ranks), plain(Memory.DYNAMIC_K, (1,)), 2).values.tolist() == [2]
    assert not trace_tensor(trace([]), plain(Memory.DYNAMIC_K, (1,)), 2).written.any()
