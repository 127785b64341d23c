from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_hw.descriptor import MlpSet
from sparta_hw.errors import ConfigError, InputFileError
from sparta_hw.interpreter import run
from sparta_hw.ir import (
    DynamicK,
    FuseScores,
    Graph,
    Kind,
    SparseAttention,
    SpikingConv,
    TokenGate,
    TokenPriority,
)
from sparta_hw.numerics import FixedPoint
from sparta_hw.passes import compile_graph
from sparta_hw.program import Program
from sparta_hw.tensor_layout import Memory, TensorLayout
from tests.sparta_hw.graphs import random_graph, random_input

TINY = NAMED_CONFIGS["tiny"]


@pytest.fixture
def graph() -> Graph:
    """Every part; spikes 5 x C x H x W, twelve tokens out of sixteen."""
    return random_graph(
        9,
        coding="spikes",
        steps=5,
        size=4,
        branches=True,
        tokens=12,
        fusion=True,
        spatial=True,
        dynamic_k=True,
        timing=True,
        priority=True,
        temperature=True,
        heads=2,
        layers=2,
        feedback=True,
        default_k=0,
    )


@pytest.fixture
def program(graph: Graph) -> Program:
    return compile_graph(graph, TINY)


def operation(graph: Graph, kind: type) -> Any:
    return next(op for op in graph.operations if isinstance(op, kind))


def same(left: Program, right: Program) -> bool:
    return all(
        np.array_equal(getattr(left, field.name), getattr(right, field.name))
        if isinstance(getattr(left, field.name), np.ndarray)
        else getattr(left, field.name) == getattr(right, field.name)
        for field in fields(Program)
    )


def test_round_trip(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "program.bin")
    again = Program.load(tmp_path / "program.bin")
    assert same(program, again)
    assert again.to_text() == program.to_text()
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_every_truncation_is_noticed(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "whole.bin")
    content = (tmp_path / "whole.bin").read_bytes()
    cut = tmp_path / "cut.bin"
    for length in [*range(0, 64), *range(64, len(content), 977), len(content) - 1]:
        cut.write_bytes(content[:length])
        with pytest.raises(InputFileError, match=r"cut\.bin: "):
            Program.load(cut)


def test_every_flipped_byte_is_noticed(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "whole.bin")
    content = (tmp_path / "whole.bin").read_bytes()
    damaged = tmp_path / "damaged.bin"
    for at in [*range(0, 48), *range(48, len(content), 997), len(content) - 1]:
        damaged.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.raises(InputFileError, match=r"damaged\.bin: "):
            Program.load(damaged)


def test_other_files(program: Program, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"no such file \(expected a compiled sparta_hw program\)"):
        Program.load(tmp_path / "absent.bin")
    other = tmp_path / "other.bin"
    other.write_bytes(b"ELF something else altogether, and long enough")
    with pytest.raises(InputFileError, match=r"other\.bin: not a compiled sparta_hw program"):
        Program.load(other)
    program.save(tmp_path / "newer.bin")
    content = bytearray((tmp_path / "newer.bin").read_bytes())
    content[8] = 9
    (tmp_path / "newer.bin").write_bytes(content)
    with pytest.raises(InputFileError, match="of format version 9, this release reads version 4"):
        Program.load(tmp_path / "newer.bin")


def test_folder_must_exist(program: Program, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"program\.bin: cannot write: No such file or directory"):
        program.save(tmp_path / "absent" / "program.bin")


def test_runs_on_its_own_core_only(program: Program) -> None:
    program.check_core(TINY)
    program.check_core(replace(TINY, name="renamed"))
    with pytest.raises(
        ConfigError, match=r"'random9' was .* than 'other': lanes 4 \(core has 8\), layers 48 \(core has 12\)"
    ):
        program.check_core(replace(TINY, name="other", lanes=8, layers=12))


def image(folder: Path, name: str) -> list[str]:
    return (folder / f"{name}.mem").read_text().split()


def test_images(program: Program, graph: Graph, tmp_path: Path) -> None:
    program.write_images(tmp_path)
    names = ("program", "weights", "scores", "factors", "mlp")
    assert sorted(path.stem for path in tmp_path.glob("*.mem")) == sorted(names)
    rows = {name: image(tmp_path, name) for name in names}
    assert [int(row, 16) for row in rows["program"]] == list(program.descriptors)
    digits = {"program": 128, "weights": TINY.lanes * 2, "scores": 32, "factors": 8, "mlp": 16}
    assert {name: {len(row) for row in content} for name, content in rows.items()} == {
        name: {count} for name, count in digits.items()
    }
    assert int(rows["weights"][7][-2:], 16) == program.weights[7, 0]
    assert int(rows["weights"][7][:2], 16) == program.weights[7, TINY.lanes - 1]
    assert len(rows["scores"]) == 3 * (8 * 8 + 1)


def test_score_rows(program: Program) -> None:
    # Scale 1, cue 3: row 65 + 3, MSP entries in bits 10..0 and temporal ones in bits 26..16 of four words.
    row = program.score_rows()[65 + 3]
    for n in range(4):
        word = row >> 32 * n & 0xFFFFFFFF
        assert word & 0xF800F800 == 0
        assert word & 0x7FF == program.score_tables[1, 0, n, 3] & 0x7FF
        assert word >> 16 == program.score_tables[1, 1, n, 3] & 0x7FF


def test_factor_rows(program: Program, graph: Graph) -> None:
    rows = np.array(program.factor_rows())
    assert len(rows) == 256
    assert (rows[:128] & 0xFF).tolist() == operation(graph, TokenGate).timing.tolist()
    assert (rows[:128] >> 8 & 0xFF).tolist() == operation(graph, SparseAttention).temperature.tolist()
    assert (rows >> 16).tolist() == operation(graph, DynamicK).table.tolist()


def test_mlp_rows(program: Program, graph: Graph) -> None:
    rows = program.mlp_rows()
    assert len(rows) == 24
    for number, kind in (
        (MlpSet.FUSION, FuseScores),
        (MlpSet.SPARSITY, DynamicK),
        (MlpSet.PRIORITY, TokenPriority),
    ):
        mlp = operation(graph, kind).mlp
        for n in range(8):
            packed = rows[8 * number + n].to_bytes(8, "little")
            assert [int.from_bytes(packed[i : i + 1], signed=True) for i in range(4)] == [
                *mlp.hidden_weight[n],
                mlp.weight[n],
            ]
            assert int.from_bytes(packed[4:7], "little", signed=True) == mlp.hidden_bias[n]
            assert packed[7] == 0


def test_images_come_back(program: Program, tmp_path: Path) -> None:
    program.write_images(tmp_path)
    assert same(program.read_images(tmp_path), program)
    rows = image(tmp_path, "mlp")
    (tmp_path / "mlp.mem").write_text("\n".join([*rows[:-1], f"{int(rows[-1], 16) ^ 1:016x}"]))
    assert not same(program.read_images(tmp_path), program)
    (tmp_path / "mlp.mem").write_text("\n".join(rows[:-1]))
    with pytest.raises(
        InputFileError, match=r"mlp\.mem: has 23 rows, the program 24; compile the model again"
    ):
        program.read_images(tmp_path)
    (tmp_path / "mlp.mem").write_text("text")
    with pytest.raises(InputFileError, match=r"mlp\.mem: not a memory image"):
        program.read_images(tmp_path)


def test_header_of_a_tile(program: Program, graph: Graph) -> None:
    first = operation(graph, SpikingConv)
    lanes = TINY.lanes
    header = program.weights[:6].astype(np.int64)
    bias = (header[0] | header[1] << 8 | header[2] << 16) << 40 >> 40
    theta, leak = header[3] | header[4] << 8, header[5]
    padding = max(0, lanes - len(first.bias))
    assert bias.tolist() == [*first.bias[:lanes], *[0] * padding]
    assert theta.tolist() == [*first.threshold[:lanes], *[32767] * padding]
    assert leak.tolist() == [*first.leak[:lanes], *[1] * padding]


def test_what_the_host_asks_for(program: Program) -> None:
    assert (program.tokens, program.grid_tokens, program.default_k) == (12, 16, 0)
    assert program.dynamic
    assert program.feedback
    plain = compile_graph(
        random_graph(0, size=3, tokens=None, dynamic_k=False, feedback=False, default_k=2), TINY
    )
    assert (plain.tokens, plain.grid_tokens, plain.default_k) == (9, 9, 2)
    assert not plain.dynamic
    assert not plain.feedback


def test_listing_names_descriptors_fields_and_tensors(program: Program) -> None:
    text = program.to_text()
    assert f"; random9, 12 tokens, default K dynamic, {program.classes} classes" in text
    assert "  0  LAYER   " in text
    assert "  ; stem.0.conv" in text
    assert "RANK    by=FUSION tokens=12 grouped=1" in text
    assert "destination=TOKENS" in text
    assert ".tensor tokens integers 12x32 s8.4 spikes lines" in text
    assert ".tensor next_state integers 1 s26.8 state, by " in text
    assert len(text.splitlines()) == 2 + len(program.descriptors) + len(program.tensors)


def plane_graph(coding: str) -> Graph:
    """Inputs of two channels of 4 x 4."""
    return random_graph(0, coding=coding, steps=5, size=4, image=(2, 4, 4), stem=((8, 3, 1, 1),))


def test_packed_input_by_hand() -> None:
    # 4 steps and 8 entries a line: entry 1 is (0, 0, channel 1); step 4 is in group 1, the second line.
    program = compile_graph(plane_graph("spikes"), TINY)
    spikes = np.zeros((5, 2, 4, 4), np.uint8)
    spikes[[0, 3, 4], 1, 0, 0] = 1
    spikes[1, 0, 1, 0] = 1
    words = program.pack_input(spikes)
    assert words.dtype == np.uint32
    assert len(words) == program.input.lines == 32 // 8 * 2
    assert words[:4].tolist() == [0b1001 << 4, 0b0001 << 4, 0b0010, 0]


def test_packed_pixels_by_hand() -> None:
    # Bit planes, the most significant one first: planes 0 to 3 in the first line, 4 to 7 in the second.
    program = compile_graph(plane_graph("direct"), TINY)
    pixels = np.zeros((2, 4, 4), np.uint8)
    pixels[1, 0, 0] = 0b1000_0011
    pixels[0, 1, 0] = 0b0100_0001
    words = program.pack_input(pixels)
    assert len(words) == 32 // 8 * 2
    assert words[:4].tolist() == [0b0001 << 4, 0b1100 << 4, 0b0010, 0b1000]


@pytest.mark.parametrize(
    ("coding", "inputs", "message"),
    [
        ("spikes", np.zeros((5, 2, 4, 5)), r"spikes: the array has shape \(5, 2, 4, 5\), not \(5, 2, 4, 4\)"),
        (
            "spikes",
            np.full((5, 2, 4, 4), 2),
            "values reach from 2 to 2, the tensor holds integers from 0 to 1",
        ),
        ("spikes", np.full((5, 2, 4, 4), 0.5), r"values reach from 0\.5 to 0\.5, the tensor holds integers"),
        (
            "direct",
            np.full((2, 4, 4), 256),
            r"pixels: values reach from 256 to 256, .* integers from 0 to 255",
        ),
    ],
)
def test_input_is_checked(coding: str, inputs: np.ndarray, message: str) -> None:
    program = compile_graph(plane_graph(coding), TINY)
    with pytest.raises(InputFileError, match=message):
        program.pack_input(inputs)


@pytest.mark.parametrize(
    "config",
    [TINY, CoreConfig(name="odd", lanes=2, steps=3, line=4, weight_rows=1 << 14, layers=48)],
    ids=lambda config: config.name,
)
@pytest.mark.parametrize("coding", ["spikes", "direct"])
def test_tensors_survive_the_memory(config: CoreConfig, coding: str) -> None:
    graph = random_graph(2, coding=coding, layers=1, default_k=3)
    inputs = random_input(graph, 2, 3)
    program = compile_graph(graph, config)
    values = run(graph, inputs) | {graph.input.name: inputs}
    for place in program.tensors.values():
        if place.memory is Memory.SPIKES:
            expected = np.zeros(place.shape, np.int64)
            expected[: len(values[place.name][2])] = values[place.name][2]
            lines = place.pack(expected, config)
            np.testing.assert_array_equal(place.unpack(lines, config), expected, err_msg=place.name)


def test_planes_have_the_most_significant_bit_first() -> None:
    config = CoreConfig(name="one", lanes=2, steps=8, line=2)
    place = TensorLayout(
        name="x",
        memory=Memory.SPIKES,
        shape=(2,),
        kind=Kind.INTEGERS,
        type=FixedPoint(8, 0),
        pitch=2,
        steps=8,
        groups=1,
        lines=1,
    )
    assert place.pack(np.array([-128, 3]), config).tolist() == [[0b1100_0000_0000_0001]]


def test_tensors_elsewhere(program: Program) -> None:
    found = {
        place.name: place.memory for place in program.tensors.values() if place.memory is not Memory.SPIKES
    }
    assert found == {
        "msp": Memory.MSP,
        "temporal": Memory.TEMPORAL,
        "first": Memory.FIRST,
        "interval": Memory.INTERVAL,
        "rate": Memory.RATE,
        "group": Memory.GROUP,
        "spatial": Memory.SPATIAL,
        "score": Memory.SCORE,
        "dynamic_k": Memory.DYNAMIC_K,
        "winners": Memory.SELECT,
        "priority": Memory.SCORE,
        "index": Memory.SELECT,
        "query.0": Memory.QUERY,
        "key.0": Memory.KEY,
        "value.0": Memory.VALUE,
        "query.1": Memory.QUERY,
        "key.1": Memory.KEY,
        "value.1": Memory.VALUE,
        "attention.1": Memory.ATTENTION,
        "logits": Memory.RESULTS,
        "next_state": Memory.STATE,
    }


def test_rank_tensors_have_room_for_the_largest_k() -> None:
    graph = random_graph(0, size=4, tokens=None, dynamic_k=False, layers=2, default_k=2)
    for most, rows in ((16, 16), (7, 7)):
        tensors = compile_graph(graph, replace(TINY, max_topk=most)).tensors
        for name in ("winners", "selected", "query.0", "attention.0", "hidden.0", "attention.1"):
            assert tensors[name].shape[0] == rows
        assert tensors["tokens"].shape[0] == 16
