"""Put each fault into a copy of the RTL's sources, and see which test notices: ``python -m tests.mutation.run``."""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from sparta_hw.files import write_text
from sparta_sim.cache import content_key
from tests.mutation.faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "rtl" / "sparta_rtl"
UNITS = "tests/rtl"
WHOLE = (
    "tests/sim/test_unit_benches.py",
    "tests/sim/test_cosim.py",
    "tests/end_to_end/test_random_networks.py",
)
SURVIVED = "survived"
SECONDS = 240  # several times what a test takes; a faulty unit may never say done


def stages(fault: Fault) -> Iterator[tuple[str, ...]]:
    """Tests, the nearest to the fault first: those that import its module, all units', the whole core's."""
    module = f"sparta_rtl.{Path(fault.file).stem} "
    near = tuple(
        str(path.relative_to(ROOT))
        for path in sorted(ROOT.glob(f"{UNITS}/test_*.py"))
        if module in path.read_text()
    )
    if near:
        yield near
    yield (UNITS,)
    yield WHOLE


def first_failure(folder: Path, tests: tuple[str, ...]) -> str | None:
    """The first test that fails with the sources in ``folder``, None if all pass."""
    paths = f". {folder} quant sim"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        f"pythonpath={paths}",
        f"--timeout={SECONDS}",
        *tests,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    found = re.search(r"^FAILED (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if done.returncode != 1 or not found:
        raise SystemExit(f"tests did not run: {done.stdout[-600:]}{done.stderr[-600:]}")
    return found.group(1)


def caught_by(fault: Fault) -> str:
    """Name of the test that notices the fault, or :data:`SURVIVED`."""
    with tempfile.TemporaryDirectory(prefix="sparta-mutation-") as name:
        folder = Path(name)
        shutil.copytree(SOURCES, folder / "sparta_rtl", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "sparta_rtl" / fault.file).write_text(mutated(fault))
        return next(filter(None, (first_failure(folder, tests) for tests in stages(fault))), SURVIVED)


def mutated(fault: Fault) -> str:
    """Source with the fault in it."""
    text = (SOURCES / fault.file).read_text()
    if text.count(fault.old) != 1:
        raise SystemExit(
            f"{fault.file} has {text.count(fault.old)} times {fault.old!r}: update tests/mutation/faults.py"
        )
    return text.replace(fault.old, fault.new)


def table(results: dict[str, str]) -> str:
    """Markdown: each fault and the test that caught it."""
    caught = sum(test != SURVIVED for test in results.values())
    rows = [
        f"{caught} of {len(FAULTS)} faults caught.",
        "",
        "| file | fault | caught by |",
        "| --- | --- | --- |",
    ]
    rows += [f"| `{fault.file}` | {fault.what} | `{results[key(fault)]}` |" for fault in FAULTS]
    return "\n".join(["# Faults put into the RTL, and the test that caught each", "", *rows, ""])


def key(fault: Fault) -> str:
    """Changes with the fault and with the source around it."""
    return content_key([fault.file, mutated(fault)])


def main() -> int:
    """Exit code 1 when a fault survives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("build"), help="folder (default: build)")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / "mutation.json"
    results = json.loads(store.read_text()) if store.exists() else {}
    left = [fault for fault in FAULTS if key(fault) not in results]
    if left and (broken := first_failure(SOURCES.parent, (UNITS,))):
        raise SystemExit(f"without any fault {broken} fails: repair that first")
    with ThreadPoolExecutor(2) as pool, tqdm(total=len(left), unit="fault") as bar:
        for fault, test in zip(left, pool.map(caught_by, left), strict=True):
            results[key(fault)] = test
            write_text(store, json.dumps(results, indent=1))
            bar.update()
            bar.set_postfix_str(fault.what)
            if test == SURVIVED:
                bar.write(f"SURVIVED: {fault.file}: {fault.what}")
    write_text(folder / "mutation.md", table(results))
    print(folder / "mutation.md")
    return int(SURVIVED in results.values())


if __name__ == "__main__":
    sys.exit(main())
