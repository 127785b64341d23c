"""The walk over the ONNX graph: every node is understood, or listed with the reason why not."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from onnx import ModelProto, ValueInfoProto

from sparta_hw.errors import UnsupportedError
from sparta_hw.ir import FeedbackController, Graph, Kind, Value
from sparta_hw.numerics import FixedPoint
from sparta_hw.onnx_import import (
    attention_ops,
    constants,
    dense_ops,
    gate_ops,
    record_ops,
    selection_ops,
    spiking_ops,
)
from sparta_hw.onnx_import.model_file import initializers, load_model
from sparta_hw.onnx_import.quantisers import quant
from sparta_hw.onnx_import.scope import NodeView, Refused, Scope
from sparta_hw.onnx_import.symbols import Broken, Constant, LinearSums, RecordPart, Result, Symbol
from sparta_hw.onnx_ops import QUANT_DOMAIN, SPARTA_DOMAIN
from sparta_hw.verifier import structure_problems

__all__ = ["import_model"]

Reader = Callable[[NodeView], tuple[Symbol, ...]]

_READERS: Mapping[str, Reader] = {
    "Add": dense_ops.add,
    "Clip": record_ops.clip,
    "Concat": attention_ops.concat,
    "Constant": constants.constant,
    "Conv": spiking_ops.convolution,
    "DequantizeLinear": constants.dequantize,
    "Expand": spiking_ops.expand,
    "GatherElements": record_ops.gather_elements,
    "Identity": selection_ops.identity,
    "MatMul": dense_ops.matmul,
    "Mul": selection_ops.multiply,
    "ReduceSum": dense_ops.reduce_sum,
    "Reshape": spiking_ops.reshape,
    "Unsqueeze": spiking_ops.unsqueeze,
    f"{QUANT_DOMAIN}::Quant": quant,
    f"{SPARTA_DOMAIN}::CentreSurround": record_ops.centre_surround,
    f"{SPARTA_DOMAIN}::DynamicK": selection_ops.dynamic_k,
    f"{SPARTA_DOMAIN}::Feedback": attention_ops.feedback,
    f"{SPARTA_DOMAIN}::GatedRate": gate_ops.gated_rate,
    f"{SPARTA_DOMAIN}::GatherTokens": selection_ops.gather_tokens,
    f"{SPARTA_DOMAIN}::HILIF": spiking_ops.hilif,
    f"{SPARTA_DOMAIN}::MSP": record_ops.msp,
    f"{SPARTA_DOMAIN}::PatchGroup": record_ops.patch_group,
    f"{SPARTA_DOMAIN}::SparseAttention": attention_ops.sparse_attention,
    f"{SPARTA_DOMAIN}::SpikeCues": record_ops.spike_cues,
    f"{SPARTA_DOMAIN}::ThresholdOffset": spiking_ops.threshold_offset,
    f"{SPARTA_DOMAIN}::TokenGain": gate_ops.token_gain,
    f"{SPARTA_DOMAIN}::TokenGate": gate_ops.token_gate,
    f"{SPARTA_DOMAIN}::TokenMLP": selection_ops.token_mlp,
    f"{SPARTA_DOMAIN}::TopKTokens": selection_ops.top_k_tokens,
}

_PIXEL_BITS = 8

_WAYS_OUT = {
    "BatchNormalization": "fold it into the convolution before it",
    "Dropout": "export the network in evaluation mode",
    "Gemm": "export a linear layer as MatMul and Add",
    "Softmax": "use sparta::SparseAttention",
    "Relu": "use sparta::HILIF",
    "MaxPool": "use a convolution with a stride",
    "AveragePool": "use a convolution with a stride, with the same weights at each place of its window",
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
    """The one input without an initializer: spikes [T, batch, C, H, W], or pixels [batch, C, H, W]."""
    if len(entries) != 1:
        names = ", ".join(repr(entry.name) for entry in entries) or "none"
        raise UnsupportedError(
            f"{path}: the inputs without an initializer are {names}; there must be one, the spikes or pixels "
            "(k and state have their defaults as initializers)"
        )
    name, dims = entries[0].name, [entry.dim_value for entry in entries[0].type.tensor_type.shape.dim]
    batch_axis = len(dims) - 4
    shape = [size for axis, size in enumerate(dims) if axis != batch_axis]
    if batch_axis not in (0, 1) or min(shape) < 1:
        found = "x".join(str(size or "?") for size in dims)
        raise UnsupportedError(
            f"{path}: input {name!r} has shape {found}; export it as [T, batch, C, H, W], "
            "or for direct coding as [batch, C, H, W], all but the batch fixed"
        )
    if batch_axis:
        return Value(name, tuple(shape), FixedPoint(1, 0, signed=False), Kind.SPIKES)
    return Value(name, tuple(shape), FixedPoint(_PIXEL_BITS, 0, signed=False))


def _read_nodes(model: ModelProto, scope: Scope) -> list[str]:
    problems: list[str] = []
    outputs = [entry.name for entry in model.graph.output]
    used = {name for node in model.graph.node for name in node.input} | set(outputs)
    views = [NodeView(node, scope) for node in model.graph.node]
    repeated = {name for name, count in Counter(view.name for view in views).items() if count > 1}
    for view in views:
        names = ", ".join(repr(name) for name in view.outputs if name)
        view.require(
            bool(used.intersection(view.outputs)) or _of_record(view),
            f"its result {names} is used by nothing; remove the node",
        )
        view.require(view.name not in repeated, "other nodes have the same name; make node names unique")
        try:
            results = _read(view)
        except Refused as refused:
            problems += [f"{view.name} ({view.operator}): {reason}" for reason in refused.reasons]
            results = tuple(Broken() for _ in view.outputs)
        scope.symbols.update(zip(view.outputs, results, strict=False))
        for name, symbol in zip(view.outputs, results, strict=False):
            if name in outputs and isinstance(symbol, LinearSums) and symbol.logits:
                dense_ops.logits(view, symbol, name)
    return problems or _finish(scope)


def _of_record(view: NodeView) -> bool:
    """Whether the node reads a field of the record; not every network uses all of its tensors."""
    return any(isinstance(view.scope.symbols.get(name), RecordPart) for name in view.inputs)


def _finish(scope: Scope) -> list[str]:
    """Write the record, and check what only the whole network shows: its cells, and a closed feedback loop."""
    problems: list[str] = []
    if scope.record is not None:
        operation, problems = scope.record.operation(scope.symbols)
        problems += record_ops.cell_problems(scope)
        if operation is not None:
            scope.operations.insert(scope.record.position, operation)
    if scope.state and not scope.all(FeedbackController):
        problems.append(
            f"{scope.state}: thresholds follow this state, which no sparta::Feedback writes; add one, or remove "
            "every sparta::ThresholdOffset"
        )
    return problems


def _read(view: NodeView) -> tuple[Symbol, ...]:
    reader = _READERS.get(view.operator)
    if reader is None:
        known = ", ".join(sorted(_READERS))
        raise view.refuse(f"unknown operator; {_WAYS_OUT.get(view.operator, f'use only {known}')}")
    results = reader(view)
    view.settle()
    return results
