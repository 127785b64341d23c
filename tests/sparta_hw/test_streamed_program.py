"""Programs of cores that stream their weights: what fits, and the image for external memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.descriptor import Op, decode
from sparta_hw.errors import CapacityError, ConfigError, InputFileError
from sparta_hw.passes import compile_model
from sparta_hw.program import Program
from tests.sim.networks import random_network

TINY = NAMED_CONFIGS["tiny"]
STREAM = replace(TINY, name="stream", stream_bits=32, weight_rows=256)


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_model(random_network(3), STREAM)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"stream_bits": 64},
            r"stream_bits must be a power of two, 32 to 32 \(a weight row has 32\), not 64",
        ),
        ({"stream_bits": 24}, "stream_bits must be a power of two"),
        (
            {"stream_bits": 32, "weight_rows": 1000},
            "weight_rows must be a power of two, at least 8, where weights",
        ),
        ({"stream_bits": 32, "weight_rows": 4}, "at least 8, where weights are streamed, not 4"),
        (
            {"stream_bits": 32, "lanes": 2},
            r"32 to 16 \(a weight row has 16\), not 32; use 0 for weights on chip",
        ),
    ],
)
def test_ports_that_cannot_be(fields: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(TINY, **fields)


def test_a_core_that_streams_is_another_core() -> None:
    assert replace(TINY, stream_bits=32).digest != TINY.digest


def test_bursts_are_whole_rows() -> None:
    wide = replace(TINY, lanes=16, line=16, weight_rows=1024)
    for bits in (32, 64, 128):
        core = replace(wide, stream_bits=bits)
        assert core.burst_rows * core.row_beats == core.burst_beats <= 256
        assert core.burst_beats * bits <= 4096 * 8


def test_tiles_follow_one_another_in_the_image(program: Program) -> None:
    at = 0
    for word in program.descriptors:
        fields = decode(word)
        if fields["op"] is Op.LAYER:
            assert fields["weight_base"] == at
            at += fields["tiles"] * fields["weight_pitch"]
    assert len(program.weights) == at > STREAM.weight_rows
    on_chip = compile_model(random_network(3), TINY)
    assert np.array_equal(program.weights, on_chip.weights)
    assert program.descriptors == on_chip.descriptors


def test_two_tiles_and_a_burst_must_fit(program: Program) -> None:
    pitches = [decode(word)["weight_pitch"] for word in program.descriptors if decode(word)["op"] is Op.LAYER]
    small = replace(STREAM, weight_rows=64)
    with pytest.raises(
        CapacityError,
        match=rf"random-3: a tile of stem_1 has {pitches[1]} weight rows, the next one, of stem_\d, \d+; with a burst "
        r"of 8 these are \d+, weight_rows of core 'stream' is 64; use a core with weight_rows of at least (128|256)",
    ) as caught:
        compile_model(random_network(3), small)
    enough = int(str(caught.value).split()[-1])
    compile_model(random_network(3), replace(small, weight_rows=enough))
    with pytest.raises(CapacityError):
        compile_model(random_network(3), replace(small, weight_rows=enough // 2))


def test_image_comes_back(program: Program, tmp_path: Path) -> None:
    program.write_images(tmp_path)
    assert not (tmp_path / "weights.mem").exists()
    image = (tmp_path / "weights.bin").read_bytes()
    assert image == program.weights.tobytes()
    assert image[7 * STREAM.lanes + 2] == program.weights[7, 2]
    assert np.array_equal(program.read_images(tmp_path).weights, program.weights)
    (tmp_path / "weights.bin").write_bytes(image[:-1])
    with pytest.raises(
        InputFileError, match=r"weights\.bin: has \d+ bytes, the program \d+; compile the model again"
    ):
        program.read_images(tmp_path)


def test_listing(program: Program) -> None:
    assert f"{len(program.weights)} weight rows streamed through 256" in program.to_text()


def test_program_comes_back(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "program.bin")
    loaded = Program.load(tmp_path / "program.bin")
    assert loaded.config == STREAM
    loaded.check_core(STREAM)
    with pytest.raises(ConfigError, match=r"stream_bits 32 \(core has 0\)"):
        loaded.check_core(replace(TINY, weight_rows=256))
