from dataclasses import replace

import pytest

from sparta_hw.errors import ConfigError
from sparta_sim.tensor_map import layer_inputs, produced_tensors


def test_tensors_in_the_order_of_the_descriptors(case) -> None:
    found = [
        (item.layout.descriptors, item.layout.name, item.node) for item in produced_tensors(case.program)
    ]
    records = [((2,), name, "records") for name in ("msp", "temporal", "first", "interval", "rate")]
    assert found == [
        ((0,), "stem.0", "stem_0"), ((1,), "stem.1", "stem_1"), *records,
        ((3,), "score", "topk"), ((3,), "winners", "topk"), ((4,), "tokens", "gate"),
        ((5,), "selected", "gather"), ((6,), "query.0", "query_projection"),
        ((7,), "key.0", "key_projection"), ((8,), "value.0", "value_projection"),
        ((9,), "attention.0", "attention"), ((10,), "pooled", "pool"), ((11,), "logits", "classifier"),
    ]  # fmt: skip


def test_every_layer_reads_the_tensor_at_its_address(case) -> None:
    inputs = layer_inputs(case.program).items()
    names = {at: [layout.name for layout in layouts] for at, layouts in inputs}
    one_each = {0: "spikes", 1: "stem.0", 6: "selected", 7: "selected", 8: "selected", 11: "pooled"}
    assert names == {at: [name] for at, name in one_each.items()}


def test_a_tensor_that_nothing_produces_is_refused(case) -> None:
    extra = replace(case.program.tensors["score"], name="extra", descriptors=())
    tensors = {**case.program.tensors, "extra": extra}
    with pytest.raises(ConfigError, match="tensor extra is in the program, but no descriptor produces it"):
        produced_tensors(replace(case.program, tensors=tensors))


def test_a_layer_that_reads_nothing_is_refused(case) -> None:
    tensors = {name: layout for name, layout in case.program.tensors.items() if name != "pooled"}
    with pytest.raises(ConfigError, match="classifier: no tensor starts at line"):
        layer_inputs(replace(case.program, tensors=tensors))
