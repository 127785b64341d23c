import json
from pathlib import Path

import pytest

from sparta_hw.errors import InputFileError, SpartaError
from sparta_rtl.sequencer import FETCH_CYCLES
from sparta_sim.measure import fit_square, measure_estimate, synthesis_section
from sparta_sim.report import read_section, write_report, write_section
from sparta_sim.synthesis import Resources

SYNTHESIS = synthesis_section(
    "tiny",
    "LFE5U-85F",
    Resources(lut4=1000, ccu2c=50, lutram=3, comb=1200, ff=900, bram=12, dsp=4, fmax_mhz=81.5),
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
    assert "legacy" in page
    assert "Modelled" in page


def test_layers_add_up_to_the_predicted_total(case) -> None:
    run = measure_estimate(case.program, [case.vectors(5)])["runs"][0]
    fetches = FETCH_CYCLES * (len(run["layers"]) + 1)
    assert sum(layer["predicted"] for layer in run["layers"]) + fetches == pytest.approx(run["cycles_mean"])


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
