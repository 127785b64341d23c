from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparta_hw.config import NAMED_CONFIGS, CoreConfig
from sparta_hw.descriptor import decode
from sparta_hw.errors import ConfigError, InputFileError
from sparta_hw.interpreter import run
from sparta_hw.ir import Graph, Kind
from sparta_hw.numerics import FixedPoint
from sparta_hw.passes import compile_graph, compile_model
from sparta_hw.program import Program
from sparta_hw.tensor_layout import Memory, TensorLayout

TINY = NAMED_CONFIGS["tiny"]


@pytest.fixture
def program(graph: Graph) -> Program:
    return compile_graph(graph, TINY)


def same(left: Program, right: Program) -> bool:
    arrays = ("weights", "tables")
    plain = (
        "name",
        "config",
        "descriptors",
        "nodes",
        "tensors",
        "input_name",
        "tokens",
        "classes",
        "default_k",
    )
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in arrays) and all(
        getattr(left, name) == getattr(right, name) for name in plain
    )


def test_round_trip(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "program.bin")
    again = Program.load(tmp_path / "program.bin")
    assert same(program, again)
    assert again.to_text() == program.to_text()
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_compiles_from_a_path(model: object, graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "again.onnx"
    path.write_bytes(model.SerializeToString())
    assert same(compile_model(path, TINY), compile_model(graph, TINY))


def test_every_truncation_is_noticed(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "whole.bin")
    content = (tmp_path / "whole.bin").read_bytes()
    cut = tmp_path / "cut.bin"
    for length in [*range(0, 64), *range(64, len(content), 97), len(content) - 1]:
        cut.write_bytes(content[:length])
        with pytest.raises(InputFileError, match=r"cut\.bin: "):
            Program.load(cut)


def test_every_flipped_byte_is_noticed(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "whole.bin")
    content = (tmp_path / "whole.bin").read_bytes()
    damaged = tmp_path / "damaged.bin"
    for at in [*range(0, 48), *range(48, len(content), 211), len(content) - 1]:
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
    with pytest.raises(InputFileError, match="of format version 9, this release reads version 1"):
        Program.load(tmp_path / "newer.bin")


def test_folder_must_exist(program: Program, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"program\.bin: cannot write: No such file or directory"):
        program.save(tmp_path / "absent" / "program.bin")


def test_runs_on_its_own_core_only(program: Program) -> None:
    program.check_core(TINY)
    program.check_core(replace(TINY, name="renamed"))
    with pytest.raises(
        ConfigError, match=r"'small' was .* than 'other': lanes 4 \(core has 8\), layers 16 \(core has 12\)"
    ):
        program.check_core(replace(TINY, name="other", lanes=8, layers=12))


def test_images(program: Program, tmp_path: Path) -> None:
    program.write_images(tmp_path)
    rows = {name: (tmp_path / f"{name}.mem").read_text().split() for name in ("program", "weights", "tables")}
    assert [int(row, 16) for row in rows["program"]] == list(program.descriptors)
    assert {len(row) for row in rows["program"]} == {128}
    assert {len(row) for row in rows["weights"]} == {TINY.lanes * 2}
    assert {len(row) for row in rows["tables"]} == {16}
    assert int(rows["weights"][7][-2:], 16) == program.weights[7, 0]
    assert int(rows["weights"][7][:2], 16) == program.weights[7, TINY.lanes - 1]
    assert len(rows["tables"]) == 5 * 8 + 1
    assert int(rows["tables"][3][-4:], 16) == program.tables[0, 3] & 0xFFFF
    assert int(rows["tables"][3][:4], 16) == program.tables[3, 3] & 0xFFFF


def test_header_of_a_tile(program: Program, graph: Graph) -> None:
    first = graph.operations[0]
    header = program.weights[:6].astype(np.int64)
    bias = (header[0] | header[1] << 8 | header[2] << 16) << 40 >> 40
    theta, leak = header[3] | header[4] << 8, header[5]
    assert bias.tolist() == [*first.bias, 0]
    assert theta.tolist() == [*first.threshold, 32767]
    assert leak.tolist() == [*first.leak, 1]


def test_listing_names_descriptors_fields_and_tensors(program: Program) -> None:
    text = program.to_text()
    assert "; small, 9 tokens, default K 4, 3 classes" in text
    assert "  0  LAYER   shift=1 pad=1 kernel_height=3 steps=5 groups=2" in text
    assert "v_reset=-4  ; stem.0.conv" in text
    assert ".tensor tokens integers 9x6 u8.4 spikes lines" in text
    assert len(text.splitlines()) == 2 + len(program.descriptors) + len(program.tensors)


def test_packed_input_by_hand(program: Program) -> None:
    # 4 steps and 8 entries a line: entry 1 is (0, 0, channel 1); step 4 is in group 1, the second line.
    spikes = np.zeros((5, 2, 6, 6), np.uint8)
    spikes[[0, 3, 4], 1, 0, 0] = 1
    spikes[1, 0, 0, 4] = 1
    words = program.pack_input(spikes)
    assert words.dtype == np.uint32
    assert len(words) == program.input.lines == 72 // 8 * 2
    assert words[:4].tolist() == [0b1001 << 4, 0b0001 << 4, 0b0010, 0]


@pytest.mark.parametrize(
    ("spikes", "message"),
    [
        (np.zeros((5, 2, 6, 5)), r"spikes: the array has shape \(5, 2, 6, 5\), not \(5, 2, 6, 6\)"),
        (np.full((5, 2, 6, 6), 2), "values reach from 2 to 2, the tensor holds integers from 0 to 1"),
        (np.full((5, 2, 6, 6), 0.5), r"values reach from 0\.5 to 0\.5, the tensor holds integers"),
    ],
)
def test_input_is_checked(program: Program, spikes: np.ndarray, message: str) -> None:
    with pytest.raises(InputFileError, match=message):
        program.pack_input(spikes)


@pytest.mark.parametrize(
    "config",
    [TINY, NAMED_CONFIGS["digits"], CoreConfig(name="odd", lanes=2, steps=3, line=4)],
    ids=lambda config: config.name,
)
def test_tensors_survive_the_memory(graph: Graph, spikes: np.ndarray, config: CoreConfig) -> None:
    program = compile_graph(graph, config)
    values = run(graph, spikes) | {"spikes": spikes}
    places = [place for place in program.tensors.values() if place.memory is Memory.SPIKES]
    assert {place.name for place in places} == {"spikes", "stem.0", "stem.1", "tokens", "pooled"}
    for place in places:
        lines = place.pack(values[place.name][2], config)
        np.testing.assert_array_equal(place.unpack(lines, config), values[place.name][2], err_msg=place.name)


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
    assert program.tensor_in(Memory.QUERY).name == "query"
    assert program.tensor_in(Memory.VALUE).pitch == 8
    assert program.tensor_in(Memory.RESULTS).shape == (3,)
    assert decode(program.descriptors[7])["chunks"] == 2
