import json
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from sparta_hw.descriptor import Op, decode
from sparta_hw.errors import InputFileError, SpartaError
from sparta_rtl.sequencer import FETCH_CYCLES, HANDOVER_CYCLES
from sparta_sim.cycles.model import predict
from sparta_sim.limits import descriptor_limits
from sparta_sim.measure import fit_square, measure_estimate, synthesis_section
from sparta_sim.report import read_section, summary, write_report, write_section
from sparta_sim.report.timeline import level_layers, timeline
from sparta_sim.synthesis import CriticalPath, Resources, Step, Synthesis
from sparta_sim.windows import lines_read

SYNTHESIS = synthesis_section(
    "tiny",
    "0123456789abcdef",
    "LFE5U-85F",
    Synthesis(
        grade=6,
        resources=Resources(lut4=1000, ccu2c=50, lutram=3, comb=1200, ff=900, bram=12, dsp=4, fmax_mhz=81.5),
        fmax_of_seed={1: 81.5, 2: 70.0, 3: 75.0},
        path=CriticalPath(
            steps=(Step(source="rtl/sparta_rtl/fire.py:7", cell="fire", logic_ns=4.1, routing_ns=8.2),)
        ),
    ),
)
TRAINING = {
    "float_accuracy": 0.97, "accuracy": 0.96, "reproduced_accuracy": 0.96, "test_samples": 360,
    "accuracy_of_k": {"64": 0.96},
}  # fmt: skip


def test_an_estimate_is_written_and_rendered(case, tmp_path: Path) -> None:
    runs = [case.vectors(k) for k in (16, 4)]
    write_section(tmp_path, "estimate", measure_estimate(case.program, runs))
    write_section(tmp_path, "synth", SYNTHESIS)
    write_section(tmp_path, "training", TRAINING)
    report = write_report(tmp_path)
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert set(report) == {"schema", "versions", "commands", "training", "estimate", "synth"}
    assert len(report["commands"]) == 3
    assert [run["sparsity_percent"] for run in report["estimate"]["runs"]] == [0, 75]
    page = (tmp_path / "report.md").read_text()
    assert page.startswith("# random-1 on core tiny\n")
    assert "| float | default | 97.00% |" in page
    assert "| 1,100 | 1,000 | 50 | 3 | 900 | 12 | 4 | 81.5 MHz |" in page
    assert "81.5 MHz, the best of 3 placer seeds, median 75.0" in page
    assert "| rtl/sparta_rtl/fire.py:7 | 4.10 | 8.20 |" in page
    assert "legacy" in page
    assert "Modelled" in page


def test_layers_add_up_to_the_predicted_total(case) -> None:
    run = measure_estimate(case.program, [case.vectors(5)])["runs"][0]
    units = len(run["layers"])
    fetches = FETCH_CYCLES * (units + 1) + HANDOVER_CYCLES * units
    waits = np.mean([predict(case.program, case.sample(n, 5), 5, 5).waits for n in range(len(case.spikes))])
    layers = sum(layer["predicted"] for layer in run["layers"])
    assert layers + fetches + waits == pytest.approx(run["cycles_mean"])


def test_no_descriptor_is_faster_than_its_limit(case) -> None:
    for layer in measure_estimate(case.program, [case.vectors(5)])["runs"][0]["layers"]:
        assert 0 <= layer["limit"] <= layer["predicted"]
        assert (layer["unit"] in ("pool", "feedback")) == (layer["limit"] == 0) == (layer["resource"] == "")


def test_the_critical_resource_of_a_layer(case) -> None:
    """Without spikes, the steps of all neurons remain, one cycle each, and the lines of all windows."""
    count = len(case.program.descriptors) - 1
    none = [0] * count
    silent = descriptor_limits(case.program, none, none, 5)
    busy = descriptor_limits(case.program, [10**6] * count, none, 5)
    first = decode(case.program.descriptors[0])
    assert first["op"] is Op.LAYER
    steps = first["steps"] * first["tiles"] * first["out_height"] * first["out_width"]
    lines = first["tiles"] * lines_read(case.program.config, first, 5)
    assert silent[0].cycles == max(steps, lines)
    assert silent[0].resource == ("steps" if steps > lines else "lines")
    assert (busy[0].resource, busy[0].cycles) == ("entries", 10**6)


def test_the_timeline_has_every_descriptor_one_after_the_other(case, tmp_path: Path) -> None:
    write_section(tmp_path, "estimate", measure_estimate(case.program, [case.vectors(k) for k in (16, 4)]))
    report = write_report(tmp_path)
    for level, run in zip(level_layers(report), report["estimate"]["runs"], strict=True):
        assert [bar.node for bar in level.bars] == [layer["node"] for layer in run["layers"]]
        last = level.bars[-1]
        assert last.start + last.cycles + level.bars[0].start == pytest.approx(level.cycles)
        assert all(b.start >= a.start + a.cycles for a, b in pairwise(level.bars))
    drawing = ElementTree.parse(tmp_path / "timeline.svg").getroot()
    titles = list(drawing.iter("{http://www.w3.org/2000/svg}title"))
    assert len(titles) == sum(len(run["layers"]) for run in report["estimate"]["runs"])
    assert "K = 16: " in (tmp_path / "timeline.svg").read_text()
    assert timeline({"synth": SYNTHESIS}) is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.pop("fmax_mhz"), "synth lacks 'fmax_mhz'"),
        (lambda s: s.update(dsp=None), "synth.dsp has the wrong type, NoneType"),
        (lambda s: s.update(dsp=True), "synth.dsp has the wrong type, bool"),
        (lambda s: s.update(core={}), "synth.core has the wrong type, dict"),
    ],
)
def test_a_section_with_a_missing_number_is_refused(damage, message: str, tmp_path: Path) -> None:
    section = dict(SYNTHESIS)
    damage(section)
    with pytest.raises(InputFileError, match=message):
        write_section(tmp_path, "synth", section)
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = write_section(tmp_path, "synth", SYNTHESIS)
    path.write_text(path.read_text()[:50])
    with pytest.raises(InputFileError, match=r"synth\.json: not a section of a report"):
        read_section(tmp_path, "synth")


def test_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="nothing to report"):
        write_report(tmp_path)
    assert read_section(tmp_path, "cosim") is None


def test_the_fit_finds_a_square_law() -> None:
    fit = fit_square([(k, 3 * k * k + 2 * k + 40) for k in (4, 8, 16, 22, 32)])
    assert (fit["a"], fit["b"], fit["c"], fit["r2"]) == pytest.approx((3, 2, 40, 1))
    with pytest.raises(SpartaError, match="at least four values of K"):
        fit_square([(1, 2), (2, 3)])


def test_the_fit_tells_when_there_is_no_square_law() -> None:
    assert fit_square([(k, (-1) ** k) for k in range(8)])["r2"] < 0.5


def test_a_synthesis_of_another_core_is_told() -> None:
    cosim = {
        "core_key": "fedcba9876543210",
        "network": {"tokens": 64},
        "inferences": 1,
        "elements_compared": 1,
        "mismatches": 0,
        "runs": [],
    }
    told = "of another core than the co-simulation"
    assert told in summary({"cosim": cosim, "synth": SYNTHESIS})
    assert told not in summary({"cosim": cosim | {"core_key": SYNTHESIS["core_key"]}, "synth": SYNTHESIS})
