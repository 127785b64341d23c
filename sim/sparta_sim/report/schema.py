"""What each section of a report must hold; docs/report.md says what it means."""

from collections.abc import Mapping
from typing import Any

from sparta_hw.errors import InputFileError

__all__ = ["SECTIONS", "check_section"]

NUMBER = (int, float)

_LAYER = {"node": str, "unit": str, "entries": NUMBER, "limit": NUMBER, "resource": str}
_NETWORK = {
    "name": str,
    "core": {"name": str},
    "tokens": int,
    "classes": int,
    "default_k": int,
    "input": [int],
}
_LEVEL = {"k": int, "k_mean": NUMBER, "sparsity_percent": NUMBER, "samples": int}

SECTIONS: Mapping[str, Mapping[str, Any]] = {
    "training": {
        "float_accuracy": NUMBER,
        "accuracy": NUMBER,
        "reproduced_accuracy": NUMBER,
        "test_samples": int,
        "accuracy_of_k": dict,
    },
    "cosim": {
        "network": _NETWORK,
        "core_key": str,
        "stalls": NUMBER,
        "samples": int,
        "inferences": int,
        "mismatches": int,
        "elements_compared": int,
        "cycles_predicted_exactly": bool,
        "runs": [
            _LEVEL
            | {
                "mismatches": int,
                "elements_compared": int,
                "accuracy": NUMBER,
                "cycles": {
                    "measured_mean": NUMBER,
                    "measured_min": int,
                    "measured_max": int,
                    "predicted_mean": NUMBER,
                },
                "layers": [_LAYER | {"measured": NUMBER, "predicted": NUMBER}],
            }
        ],
        "attention": {"points": [{"k": int, "measured": int, "predicted": int}], "fit": (dict, type(None))},
    },
    "estimate": {
        "network": _NETWORK,
        "spike_rates": dict,
        "runs": [
            _LEVEL
            | {
                "cycles_mean": NUMBER,
                "layers": [_LAYER | {"predicted": NUMBER, "energy_pj": NUMBER}],
                "energy": {
                    "kind": str,
                    "total_pj": NUMBER,
                    "attention_block_pj": NUMBER,
                    "parts_pj": dict,
                    "blocks_pj": dict,
                    "legacy_pj": dict,
                },
            }
        ],
        "figures": dict,
    },
    "synth": {
        "core": str,
        "core_key": str,
        "device": str,
        "grade": int,
        "lut4": int,
        "ccu2c": int,
        "lut_eq": int,
        "lutram": int,
        "comb": int,
        "ff": int,
        "bram": int,
        "dsp": int,
        "fmax_mhz": NUMBER,
        "seeds": [{"seed": int, "fmax_mhz": NUMBER}],
        "critical_path": {
            "logic_ns": NUMBER,
            "routing_ns": NUMBER,
            "steps": [{"source": str, "cell": str, "logic_ns": NUMBER, "routing_ns": NUMBER}],
        },
    },
}
"""Required members: a type, a tuple of types, a mapping of members, or a list with the shape of its items."""


def check_section(name: str, content: Any, where: str) -> None:
    """Refuse a section that lacks a member or has one of another type.

    Parameters
    ----------
    name : str
        One of :data:`SECTIONS`.
    content : any
        The section, as read from JSON.
    where : str
        File, for the message.

    Raises
    ------
    InputFileError
        Names the first member that is wrong.
    """
    if name not in SECTIONS:
        raise InputFileError(f"{where}: a report has no section {name!r}, only {', '.join(SECTIONS)}")
    _check(content, SECTIONS[name], where, name)


def _check(value: Any, shape: Any, where: str, path: str) -> None:
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise InputFileError(f"{where}: {path} must be a list, not {type(value).__name__}")
        for n, item in enumerate(value):
            _check(item, shape[0], where, f"{path}[{n}]")
    elif isinstance(shape, Mapping):
        if not isinstance(value, Mapping):
            raise InputFileError(f"{where}: {path} must be an object, not {type(value).__name__}")
        for key, inner in shape.items():
            if key not in value:
                raise InputFileError(f"{where}: {path} lacks {key!r}; run the step that writes it again")
            _check(value[key], inner, where, f"{path}.{key}")
    elif not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool):
        raise InputFileError(f"{where}: {path} has the wrong type, {type(value).__name__}")
