"""Every error a user can cause. Messages name the node, the limit, the value and the way out."""

__all__ = [
    "CapacityError",
    "ConfigError",
    "InputFileError",
    "MismatchError",
    "SpartaError",
    "UnsupportedError",
]


class SpartaError(Exception):
    """Base of all errors that the command line prints as one line, without a traceback."""


class InputFileError(SpartaError):
    """A file is missing, truncated, or not of the expected format."""


class UnsupportedError(SpartaError):
    """A network uses something this flow cannot map."""


class ConfigError(SpartaError):
    """A core configuration contradicts itself, or does not match a program built for another one."""


class CapacityError(SpartaError):
    """A network, or a value in it, does not fit the chosen core."""


class MismatchError(SpartaError):
    """Two statements of the same computation disagree: hardware, interpreter, PyTorch or ONNX Runtime."""
