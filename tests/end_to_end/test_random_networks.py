"""ONNX files that the project did not train, all the way to a bit-exact co-simulation on one core."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparta_hw.cli import main
from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.errors import MismatchError
from sparta_hw.ir import PatchGroup
from sparta_hw.onnx_import import import_model
from sparta_hw.program import Program
from sparta_hw.vectors import load_vectors
from sparta_hw.witness import check_against_runtime
from sparta_sim import core_tensors

pytestmark = pytest.mark.slow

NETWORKS = 12
CORE = "tiny"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder a network: model.onnx as its author would send it, and PyTorch's own vectors."""
    from sparta_quant.export import export_onnx, export_vectors
    from sparta_quant.random_network import random_network, random_spikes

    root = tmp_path_factory.mktemp("networks")
    for seed in range(NETWORKS):
        network = random_network(seed)
        place = root / str(seed)
        place.mkdir()
        export_onnx(network, place / "model.onnx")
        spikes = random_spikes(network.config, 2, seed)
        export_vectors(network, spikes, np.zeros(len(spikes), np.int64), place / "vectors.npz")
    return root


@pytest.mark.parametrize("seed", range(NETWORKS))
def test_compile_and_cosimulate(folder: Path, seed: int) -> None:
    place, model = folder / str(seed), str(folder / str(seed) / "model.onnx")
    assert main(["compile", model, "--core", CORE, "-o", str(place)]) == 0
    program = str(place / "program.bin")
    tokens = Program.load(program).tokens
    ks = [argument for k in sorted({1, (tokens + 1) // 2, tokens}) for argument in ("-k", str(k))]
    arguments = ["cosim", program, "--model", model, "-o", str(place)]
    assert main([*arguments, "--random", "2", "--seed", str(seed), *ks]) == 0
    runs = json.loads((place / "cosim.json").read_text())["runs"]
    assert [run["mismatches"] for run in runs] == [0] * len(runs)
    assert all(run["elements_compared"] > 0 for run in runs)
    assert main([*arguments, "--vectors", str(place / "vectors.npz")]) == 0
    assert main([*arguments, "--vectors", str(place / "vectors.npz"), "--stalls", "0.4"]) == 0


@pytest.mark.parametrize(
    "shape",
    [
        {"lanes": 4, "steps": 3, "line": 4},
        {"lanes": 2, "steps": 4, "line": 8},
        {"lanes": 2, "steps": 3, "line": 4},
    ],
    ids=["three steps, a segment a line", "two lanes", "more lines a token than lanes"],
)
def test_cores_of_other_shapes(folder: Path, tmp_path: Path, shape: dict[str, int]) -> None:
    core = tmp_path / "core.json"
    config = replace(NAMED_CONFIGS[CORE], name="other", weight_rows=16384, spike_lines=8192, **shape)
    core.write_text(config.to_json())
    for seed in (1, 4, 7, 8, 10):
        place, model = folder / str(seed), str(folder / str(seed) / "model.onnx")
        assert main(["compile", model, "--core", str(core), "-o", str(tmp_path)]) == 0
        program = str(tmp_path / "program.bin")
        vectors = ["--vectors", str(place / "vectors.npz")]
        assert main(["cosim", program, "--model", model, *vectors, "-o", str(tmp_path)]) == 0


def _groups(folder: Path, seed: int) -> bool:
    graph = import_model(folder / str(seed) / "model.onnx")
    return any(isinstance(op, PatchGroup) for op in graph.operations)


@pytest.fixture(scope="module")
def radix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A core that lists tokens by index."""
    core = tmp_path_factory.mktemp("radix") / "core.json"
    core.write_text(replace(NAMED_CONFIGS[CORE], name="radix", topk="radix").to_json())
    return core


@pytest.mark.parametrize("seed", range(NETWORKS))
def test_radix_selection(
    folder: Path, radix: Path, tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything but grouping runs, and its results are the same numbers."""
    place, model = folder / str(seed), str(folder / str(seed) / "model.onnx")
    compiling = ["compile", model, "--core", str(radix), "-o", str(tmp_path)]
    if _groups(folder, seed):
        assert main(compiling) == 2
        assert "grouping needs an order, topk is 'radix'" in capsys.readouterr().err
        return
    assert main(compiling) == 0
    cosim = ["cosim", str(tmp_path / "program.bin"), "--model", model, "-o", str(tmp_path)]
    assert main([*cosim, "--vectors", str(place / "vectors.npz")]) == 0


def test_tokens_in_rank_order_are_caught_on_a_radix_core(
    folder: Path,
    radix: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seed = next(seed for seed in range(NETWORKS) if not _groups(folder, seed))
    place, model = folder / str(seed), str(folder / str(seed) / "model.onnx")
    assert main(["compile", model, "--core", str(radix), "-o", str(tmp_path)]) == 0
    monkeypatch.setattr(core_tensors, "_ascending", lambda index, topk: np.argsort(np.ones_like(index)))
    cosim = ["cosim", str(tmp_path / "program.bin"), "--model", model, "-o", str(tmp_path)]
    assert main([*cosim, "--vectors", str(place / "vectors.npz")]) == 1
    assert "layer winners" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(NETWORKS))
def test_onnx_runtime_agrees_with_the_interpreter(folder: Path, seed: int) -> None:
    from sparta_hw.interpreter import run_stream

    model = folder / str(seed) / "model.onnx"
    graph, vectors = import_model(model), load_vectors(folder / str(seed) / "vectors.npz")
    np.testing.assert_array_equal(
        run_stream(graph, vectors.input, vectors.request)["logits"], vectors.tensors["logits"]
    )
    fracs = {name: 0 for name in vectors.tensors if name.startswith(("stem.", "winners"))}
    fracs["logits"] = graph.operations[-2 if graph.feedback else -1].output.type.frac
    assert check_against_runtime(model, fracs, vectors) > 0


def test_one_flipped_weight_bit_is_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = folder / "0"
    assert main(["compile", str(place / "model.onnx"), "--core", CORE, "-o", str(place)]) == 0
    images = place / "broken"
    Program.load(place / "program.bin").write_images(images)
    arguments = ["cosim", str(place / "program.bin"), "--model", str(place / "model.onnx")]
    arguments += ["--vectors", str(place / "vectors.npz"), "--images", str(images), "-o", str(place)]
    assert main(arguments) == 0
    lines = (images / "weights.mem").read_text().split()
    header = Program.load(place / "program.bin").config.header_rows
    caught = None
    for row in range(header, len(lines)):
        changed = list(lines)
        changed[row] = f"{int(lines[row], 16) ^ 0x40:0{len(lines[row])}x}"
        (images / "weights.mem").write_text("\n".join(changed) + "\n")
        capsys.readouterr()
        if main(arguments) == 1:
            caught = capsys.readouterr().err
            break
    assert caught is not None, "no flipped bit was noticed"
    for word in ("sample ", "layer ", "index (", "step ", "expected ", "actual "):
        assert word in caught


def test_altered_interpreter_vectors_are_reported(folder: Path) -> None:
    from sparta_sim.measure import check_interpreter

    graph = import_model(folder / "1" / "model.onnx")
    vectors = load_vectors(folder / "1" / "vectors.npz")
    score = vectors.tensors["score"].copy()
    score[0, 0] += 1
    with pytest.raises(MismatchError, match=r"sample 0, layer score, index \(0,\): the vectors have"):
        check_interpreter(graph, replace(vectors, tensors={**vectors.tensors, "score": score}))


def test_vectors_that_onnx_runtime_contradicts_are_reported(folder: Path) -> None:
    vectors = load_vectors(folder / "1" / "vectors.npz")
    winners = vectors.tensors["winners"].copy()
    winners[0, 0] += 1
    altered = replace(vectors, tensors={"winners": winners})
    with pytest.raises(
        MismatchError, match=r"ONNX Runtime disagrees with PyTorch .* in tensor winners, index \(0, 0\)"
    ):
        check_against_runtime(folder / "1" / "model.onnx", {"winners": 0}, altered)
