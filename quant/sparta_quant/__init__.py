"""Quantisation-aware training of SPARTA networks and their export to ONNX."""
