"""Bodies of the ``sparta`` operators and of ``Quant`` in plain ONNX: any ONNX Runtime executes a model.

Each body states its operator once more, in operators of ONNX opset 20. docs/dialect.md has the signatures,
ARCHITECTURE.md the equations. Real numbers stay on their grids, where float32 is exact; what could
leave its 24 bits is int64 or float64.
"""

from onnx import FunctionProto
from onnx.parser import parse_function

from sparta_hw.onnx_ops import attention, gate, quantiser, records, selection, spiking

__all__ = ["OPSET_VERSION", "QUANT_DOMAIN", "SPARTA_DOMAIN", "SPARTA_VERSION", "functions"]

OPSET_VERSION = 20
SPARTA_DOMAIN = "sparta"
SPARTA_VERSION = 1
QUANT_DOMAIN = "qonnx.custom_op.general"

_SPARTA_BODIES = (*spiking.BODIES, *records.BODIES, *selection.BODIES, *gate.BODIES, *attention.BODIES)


def functions() -> list[FunctionProto]:
    """Function bodies of every operator of the dialect, to be appended to ``ModelProto.functions``."""
    sparta = [_parse(SPARTA_DOMAIN, body) for body in _SPARTA_BODIES]
    return [*sparta, _parse(QUANT_DOMAIN, quantiser.BODY)]


def _parse(domain: str, body: str) -> FunctionProto:
    opsets = f'"" : {OPSET_VERSION}, "{SPARTA_DOMAIN}" : {SPARTA_VERSION}'
    return parse_function(f'<opset_import: [{opsets}], domain: "{domain}">{body}')
