"""The walk over the ONNX graph: every node is understood, or listed with the reason why not."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from onnx import ModelProto, ValueInfoProto

from sparta_hw.errors import UnsupportedError
from sparta_hw.ir import Graph, Kind, Value
from sparta_hw.numerics import FixedPoint
from sparta_hw.onnx_import import constants, dense_ops, spiking_ops, token_ops
from sparta_hw.onnx_import.model_file import initializers, load_model
from sparta_hw.onnx_import.quantisers import quant
from sparta_hw.onnx_import.scope import NodeView, Refused, Scope
from sparta_hw.onnx_import.symbols import Broken, Constant, LinearSums, Result, Symbol
from sparta_hw.onnx_ops import QUANT_DOMAIN, SPARTA_DOMAIN
from sparta_hw.verifier import structure_problems

__all__ = ["import_model"]

Reader = Callable[[NodeView], tuple[Symbol, ...]]

_READERS: Mapping[str, Reader] = {
    "Add": dense_ops.add,
    "Constant": constants.constant,
    "Conv": spiking_ops.convolution,
    "DequantizeLinear": constants.dequantize,
    "MatMul": dense_ops.matmul,
    "ReduceSum": dense_ops.reduce_sum,
    "Reshape": spiking_ops.reshape,
    f"{QUANT_DOMAIN}::Quant": quant,
    f"{SPARTA_DOMAIN}::GatherTokens": token_ops.gather_tokens,
    f"{SPARTA_DOMAIN}::HILIF": spiking_ops.hilif,
    f"{SPARTA_DOMAIN}::SparseAttention": dense_ops.sparse_attention,
    f"{SPARTA_DOMAIN}::SpikeCues": token_ops.spike_cues,
    f"{SPARTA_DOMAIN}::TokenGate": token_ops.token_gate,
    f"{SPARTA_DOMAIN}::TokenScore": token_ops.token_score,
    f"{SPARTA_DOMAIN}::TopKTokens": token_ops.top_k_tokens,
}

_WAYS_OUT = {
    "BatchNormalization": "fold it into the convolution before it",
    "Dropout": "export the network in evaluation mode",
    "Gemm": "export a linear layer as MatMul and Add",
    "Softmax": "use sparta::SparseAttention",
    "Relu": "use sparta::HILIF",
    "MaxPool": "use a convolution with a stride",
    "AveragePool": "use a convolution with a stride",
    "QuantizeLinear": "quantise activations with qonnx Quant",
}


def import_model(path: str | Path) -> Graph:
    """Read a network in the dialect of docs/dialect.md.

    Function bodies are not executed: operators are known by domain and name.

    Raises
    ------
    InputFileError
        The file is missing, truncated, or not ONNX.
    UnsupportedError
        Lists every node that cannot be mapped: its name and operator, the reason, and what to do.
    """
    model = load_model(path)
    arrays = initializers(path, model)
    symbols: dict[str, Symbol] = {name: Constant(values) for name, values in arrays.items()}
    value = _input(path, [entry for entry in model.graph.input if entry.name not in arrays])
    symbols[value.name] = Result(value)
    scope = Scope(symbols)

    problems = _read_nodes(model, scope)
    name = model.graph.name or Path(path).stem
    graph = Graph(name=name, input=value, operations=tuple(scope.operations), default_k=scope.default_k)
    if not problems:
        problems = structure_problems(graph)
    if problems:
        listing = "\n".join(f"  {problem}" for problem in problems)
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise UnsupportedError(f"{path}: this network cannot be mapped, {count}:\n{listing}")
    return graph


def _input(path: str | Path, entries: list[ValueInfoProto]) -> Value:
    """The one input without an initializer: spikes [T, batch, C, H, W]."""
    if len(entries) != 1:
        names = ", ".join(repr(entry.name) for entry in entries) or "none"
        raise UnsupportedError(
            f"{path}: the inputs without an initializer are {names}; there must be one, the spikes "
            "(k has its default as an initializer)"
        )
    dims = [entry.dim_value for entry in entries[0].type.tensor_type.shape.dim]
    if len(dims) != 5 or min(dims[0], *dims[2:]) < 1:
        found = "x".join(str(size or "?") for size in dims)
        raise UnsupportedError(
            f"{path}: input {entries[0].name!r} has shape {found}; export it as [T, batch, C, H, W], "
            "all but the batch fixed"
        )
    steps, _, *image = dims
    return Value(entries[0].name, (steps, *image), FixedPoint(1, 0, signed=False), Kind.SPIKES)


def _read_nodes(model: ModelProto, scope: Scope) -> list[str]:
    problems: list[str] = []
    outputs = [entry.name for entry in model.graph.output]
    used = {name for node in model.graph.node for name in node.input} | set(outputs)
    views = [NodeView(node, scope) for node in model.graph.node]
    repeated = {name for name, count in Counter(view.name for view in views).items() if count > 1}
    producers: dict[str, NodeView] = {}
    for view in views:
        unused = [name for name in view.outputs if name and name not in used]
        view.require(
            not unused, f"its result {', '.join(map(repr, unused))} is used by nothing; remove the node"
        )
        view.require(view.name not in repeated, "other nodes have the same name; make node names unique")
        try:
            results = _read(view)
        except Refused as refused:
            problems += [f"{view.name} ({view.operator}): {reason}" for reason in refused.reasons]
            results = tuple(Broken() for _ in view.outputs)
        scope.symbols.update(zip(view.outputs, results, strict=False))
        producers.update((name, view) for name in view.outputs)
    for name in outputs:
        symbol = scope.symbols.get(name)
        if isinstance(symbol, LinearSums) and symbol.index is None:
            dense_ops.logits(producers[name], symbol, name)
    return problems


def _read(view: NodeView) -> tuple[Symbol, ...]:
    reader = _READERS.get(view.operator)
    if reader is None:
        known = ", ".join(sorted(_READERS))
        raise view.refuse(f"unknown operator; {_WAYS_OUT.get(view.operator, f'use only {known}')}")
    results = reader(view)
    view.settle()
    return results
