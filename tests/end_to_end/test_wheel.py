"""The wheel holds our packages, their data, and no name that could collide."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_top_level_names_begin_with_sparta(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert all(name.startswith("sparta_") for name in top)
    assert {"sparta_hw", "sparta_rtl", "sparta_quant", "sparta_sim"} <= top
    assert {"sparta_sim/harness.cpp", "sparta_sim/weight_memory.h"} <= set(names)
    assert "sparta_quant/checkpoints/digits.pt" in names
