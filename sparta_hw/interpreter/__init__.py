"""Golden interpreter: the meaning of a graph in integers, independent of PyTorch and of the hardware."""

from sparta_hw.interpreter.execute import run, run_stream

__all__ = ["run", "run_stream"]
