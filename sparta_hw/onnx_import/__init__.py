"""Import of quantised networks: ONNX in the dialect of docs/dialect.md to the IR."""

from sparta_hw.onnx_import.importer import import_model

__all__ = ["import_model"]
