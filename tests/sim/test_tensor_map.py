from dataclasses import replace

import pytest

from sparta_hw.errors import ConfigError
from sparta_sim.tensor_map import layer_inputs, produced_tensors


def test_tensors_in_the_order_of_the_descriptors(case) -> None:
    found = [(item.descriptor, item.layout.name, item.node) for item in produced_tensors(case.program)]
    assert found == [
        (0, "stem.0", "stem_0"), (1, "stem.1", "stem_1"), (2, "score", "topk"), (2, "index", "topk"),
        (3, "tokens", "gate"), (4, "query", "query_projection"), (5, "key", "key_projection"),
        (6, "value", "value_projection"), (7, "attention", "attention"), (8, "pooled", "pool"),
        (9, "logits", "classifier"),
    ]  # fmt: skip


def test_every_layer_reads_the_tensor_at_its_address(case) -> None:
    names = {at: layout.name for at, layout in layer_inputs(case.program).items()}
    assert names == {0: "spikes", 1: "stem.0", 4: "tokens", 5: "tokens", 6: "tokens", 9: "pooled"}


def test_a_tensor_that_nothing_produces_is_refused(case) -> None:
    tensors = {**case.program.tensors, "extra": replace(case.program.tensors["score"], name="extra")}
    with pytest.raises(ConfigError, match="tensor extra is in the program, but no descriptor produces it"):
        produced_tensors(replace(case.program, tensors=tensors))


def test_a_descriptor_without_a_tensor_is_refused(case) -> None:
    tensors = {name: layout for name, layout in case.program.tensors.items() if name != "pooled"}
    with pytest.raises(ConfigError, match="pool: the program has no tensor for what descriptor 8 produces"):
        produced_tensors(replace(case.program, tensors=tensors))
