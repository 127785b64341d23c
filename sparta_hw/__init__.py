"""Compiler from quantised SPARTA networks (ONNX) to programs for the sparta_hw core."""

__version__ = "0.1.0"
