"""Programs mean what the interpreter says: a machine that knows only memories and descriptors runs them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_hw.descriptor import FIELDS, Op, decode, encode
from sparta_hw.errors import CapacityError
from sparta_hw.ir import Graph, TokenGate
from sparta_hw.passes import compile_graph
from sparta_hw.program import Program
from tests.sparta_hw.graphs import random_graph, random_input
from tests.sparta_hw.memory_machine import check

TINY = NAMED_CONFIGS["tiny"]
ODD = CoreConfig(name="odd", lanes=4, steps=3, line=4, max_features=32, weight_rows=1 << 14, layers=48)
WIDE = CoreConfig(name="wide", lanes=8, steps=32, line=8, max_features=32, weight_rows=1 << 13, layers=48)
NARROW = CoreConfig(
    name="narrow", lanes=2, steps=1, line=2, spike_lines=1 << 14, weight_rows=1 << 15, layers=48
)

WHOLE = {
    "coding": "spikes",
    "branches": True,
    "fusion": True,
    "spatial": True,
    "dynamic_k": True,
    "timing": True,
    "priority": True,
    "temperature": True,
    "layers": 3,
    "feedback": True,
}


def whole_graph(seed: int, **force: object) -> Graph:
    return random_graph(
        seed, **{**WHOLE, "size": 4, "steps": 7, "tokens": 12, "heads": 2, "default_k": 0, **force}
    )


@pytest.mark.parametrize("seed", range(40))
def test_memories_hold_the_network(seed: int) -> None:
    graph = random_graph(seed)
    program, inputs = compile_graph(graph, TINY), random_input(graph, seed, 3)
    for request in {graph.default_k, 1, graph.tokens}:
        check(graph, program, inputs, request)


@pytest.mark.parametrize("config", [ODD, WIDE, NARROW], ids=lambda config: config.name)
@pytest.mark.parametrize("seed", range(4))
def test_cores_of_other_shapes(config: CoreConfig, seed: int) -> None:
    writes_tokens = config.groups(8) <= config.lanes
    graph = random_graph(seed, heads=2, layers=2 if writes_tokens else 1)
    check(graph, compile_graph(graph, config), random_input(graph, seed, 2), graph.default_k)


def test_the_network_with_everything() -> None:
    graph = whole_graph(1)
    check(graph, compile_graph(graph, TINY), random_input(graph, 1, 6), 0)


def test_heads_leave_no_entry_of_a_line_unwritten() -> None:
    # Three heads of four features: the line of eight entries is wider than the token.
    graph = random_graph(3, branches=False, heads=3, layers=2, features=12)
    program = compile_graph(graph, TINY)
    check(graph, program, random_input(graph, 3, 2), graph.tokens)
    attends = [decode(word) for word in program.descriptors if decode(word)["op"] is Op.ATTEND]
    assert [(attend["chunks"], attend["pitch"]) for attend in attends] == [(1, 4)] * 2


def test_reused_lines_hold_the_network() -> None:
    graph = whole_graph(2)
    apart = max(place.base + place.lines for place in compile_graph(graph, TINY).tensors.values())
    with pytest.raises(CapacityError) as caught:
        compile_graph(graph, replace(TINY, spike_lines=2))
    least = int(str(caught.value).split("spike_lines of at least ")[1].split(",")[0])
    assert least < 0.7 * apart
    program = compile_graph(graph, replace(TINY, spike_lines=least))
    assert max(place.base + place.lines for place in program.tensors.values()) == least
    assert program.input.base == 0
    check(graph, program, random_input(graph, 2, 2), 0)
    check(graph, program, random_input(graph, 2, 2), graph.tokens)


def test_attention_lies_behind_the_tokens_it_is_added_to() -> None:
    places = compile_graph(whole_graph(2), TINY).tensors
    for x, attention in (("selected", "attention.0"), ("hidden.0", "attention.1")):
        assert places[attention].base == places[x].base + places[x].lines


def changed(program: Program, index: int, field: str, value: int) -> Program:
    fields = decode(program.descriptors[index]) | {field: value}
    op = Op(fields.pop("op"))
    word = encode(op, "changed", **fields)
    words = (*program.descriptors[:index], word, *program.descriptors[index + 1 :])
    return replace(program, descriptors=words)


def is_noticed(graph: Graph, program: Program, inputs: np.ndarray, request: int) -> bool:
    try:
        check(graph, program, inputs, request)
    except (AssertionError, IndexError, ValueError, KeyError, ZeroDivisionError):
        return True
    return False


def _fields() -> list[tuple[Op, str]]:
    return [
        (op, field.name)
        for op, content in FIELDS.items()
        if op is not Op.END
        for field in content[2:]
        if field.name != "dense"
    ]


@pytest.mark.parametrize(("op", "field"), _fields(), ids=lambda part: getattr(part, "name", part))
def test_every_field_counts(op: Op, field: str) -> None:
    """Some descriptor of some network with one field off by one, or one bit, computes something else."""
    bits, signed = next((f.bits, f.signed) for f in FIELDS[op] if f.name == field)
    for seed in range(12):
        graph = (
            whole_graph(seed)
            if seed % 2
            else random_graph(seed, **{**WHOLE, "coding": "direct", "tokens": 5})
        )
        program, inputs = compile_graph(graph, TINY), random_input(graph, seed, 3)
        for index, word in enumerate(program.descriptors):
            fields = decode(word)
            if fields["op"] is not op:
                continue
            limit = (1 << bits - 1) - 1 if signed else (1 << bits) - 1
            for value in (fields[field] ^ 1, fields[field] // 2, limit // 8):
                if value != fields[field] and is_noticed(
                    graph, changed(program, index, field, value), inputs, 0
                ):
                    return
    raise AssertionError(f"{op.name}.{field} never mattered")


@pytest.mark.parametrize("section", ["weights", "score_tables", "factors", "mlp"])
def test_every_section_counts(section: str) -> None:
    graph = whole_graph(4)
    program, inputs = compile_graph(graph, TINY), random_input(graph, 4, 4)
    content = getattr(program, section)
    damaged = np.roll(content, 1, axis=-1 if section == "score_tables" else 0)
    assert is_noticed(graph, replace(program, **{section: damaged}), inputs, 0)


def test_order_of_descriptors() -> None:
    graph = whole_graph(0, layers=2)
    program = compile_graph(graph, TINY)
    found = [decode(word) for word in program.descriptors]
    kinds = [Op(d["op"]).name for d in found]
    spiking = sum(node.endswith(".conv") for node in program.nodes)
    attention = ["LAYER"] * 3 + ["ATTEND"]
    assert kinds == [
        *["LAYER"] * spiking,
        *["SCORE", "RANK", "RANK", "GATE", "GATE", "GATE", "RANK", "GATHER"],
        *[*attention, "LAYER", *attention],
        *["POOL", "LAYER", "FEEDBACK", "END"],
    ]
    assert [d["by"] for d in found if d["op"] is Op.RANK] == [0, 2, 3]
    assert [d["id"] for d in found] == list(range(len(found)))
    assert program.nodes[0] == "stem.0.conv"
    assert program.nodes[spiking + 3 : spiking + 6] == ("gate[0]", "gate[1]", "gate[2]")


def test_tensors_know_the_descriptors_that_write_them() -> None:
    graph = whole_graph(0, layers=1)
    program = compile_graph(graph, TINY)
    kinds = {
        name: [Op(decode(program.descriptors[index])["op"]).name for index in place.descriptors]
        for name, place in program.tensors.items()
    }
    assert kinds["spikes"] == []
    assert kinds["stem.0"] == kinds["query.0"] == kinds["logits"] == ["LAYER"]
    assert kinds["msp"] == kinds["rate"] == ["SCORE"]
    assert (
        kinds["group"]
        == kinds["score"]
        == kinds["dynamic_k"]
        == kinds["winners"]
        == kinds["index"]
        == ["RANK"]
    )
    assert program.tensors["winners"].descriptors < program.tensors["priority"].descriptors
    assert program.tensors["priority"].descriptors == program.tensors["index"].descriptors
    gate = next(op for op in graph.operations if isinstance(op, TokenGate))
    assert kinds["tokens"] == ["GATE"] * len(gate.sources)
    assert kinds["attention.0"] == ["ATTEND"]


@pytest.mark.parametrize("seed", range(5))
def test_regions_are_apart_when_they_fit(seed: int) -> None:
    graph = random_graph(seed)
    places = compile_graph(graph, replace(TINY, spike_lines=1 << 14)).tensors.values()
    regions = sorted((place.base, place.base + place.lines) for place in places if place.lines)
    assert regions[0][0] == 0
    assert all(end <= start for (_, end), (start, _) in pairwise(regions))
