"""The critical path by source line, from reports that nextpnr and yosys wrote for one fire lane."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sparta_hw.config import NAMED_CONFIGS
from sparta_hw.errors import InputFileError
from sparta_rtl.generate import top_verilog
from sparta_sim.synthesis import parse_critical_path

RECORDED = Path(__file__).parent / "recorded"


def test_delays_are_summed_by_line() -> None:
    path = parse_critical_path(RECORDED / "lane.place.json", RECORDED / "lane.json", "top")
    assert path.lines == [
        "harness.py:28",
        "rtl/sparta_rtl/hilif.py:137",
        "rtl/sparta_rtl/hilif.py:135",
        "rtl/sparta_rtl/hilif.py:130",
    ]
    assert path.logic_ns == pytest.approx(4.924, abs=0.01)
    assert path.routing_ns == pytest.approx(4.299, abs=0.01)
    assert [(round(step.logic_ns, 2), round(step.routing_ns, 2)) for step in path.steps] == [
        (0.53, 0.90),
        (0.24, 0.73),
        (4.16, 2.68),
        (0.00, 0.00),
    ]


def test_a_longer_path_from_pad_to_pad_does_not_count(tmp_path: Path) -> None:
    place = json.loads((RECORDED / "lane.place.json").read_text())
    hop = {"type": "source", "delay": 30, "from": {"cell": "pad"}, "to": {"cell": "pad"}}
    place["critical_paths"].append({"from": "<async>", "to": "<async>", "path": [hop]})
    (tmp_path / "place.json").write_text(json.dumps(place))
    path = parse_critical_path(tmp_path / "place.json", RECORDED / "lane.json", "top")
    assert path.lines[0] == "harness.py:28"


@pytest.mark.parametrize("part", ["CCU2_COMB1", "DPRAM_COMB2", "RAMW_SLICE"])
def test_a_part_of_a_cell_is_that_cell(part: str, tmp_path: Path) -> None:
    place = json.loads((RECORDED / "lane.place.json").read_text())
    for hop in place["critical_paths"][0]["path"]:
        for end in ("from", "to"):
            hop[end]["cell"] += f"${part}"
    (tmp_path / "place.json").write_text(json.dumps(place))
    whole = parse_critical_path(RECORDED / "lane.place.json", RECORDED / "lane.json", "top")
    assert parse_critical_path(tmp_path / "place.json", RECORDED / "lane.json", "top").lines == whole.lines


def first_hop(place: dict, netlist: dict) -> dict:
    return place["critical_paths"][0]["path"][0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda place, netlist: place.pop("critical_paths"), "has no critical_paths"),
        (lambda place, netlist: place["critical_paths"].clear(), "no critical path from a clock to itself"),
        (
            lambda place, netlist: place["critical_paths"][0].pop("path"),
            "critical path of the report has no path",
        ),
        (lambda place, netlist: first_hop(place, netlist).pop("delay"), "has no number delay"),
        (lambda place, netlist: first_hop(place, netlist).update(type="magic"), "no known type and cell"),
        (lambda place, netlist: first_hop(place, netlist).pop("from"), "no known type and cell"),
        (lambda place, netlist: netlist["modules"].clear(), "the netlist has no module top"),
        (
            lambda place, netlist: netlist["modules"]["top"]["cells"].clear(),
            "has no cell 'chain_i_TRELLIS_FF_Q', which is on the critical path",
        ),
    ],
)
def test_a_damaged_report_is_an_error(
    damage: Callable[[dict, dict], object], message: str, tmp_path: Path
) -> None:
    names = ("lane.place.json", "lane.json")
    place, netlist = (json.loads((RECORDED / name).read_text()) for name in names)
    damage(place, netlist)
    for name, content in zip(names, (place, netlist), strict=True):
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(InputFileError, match=message):
        parse_critical_path(tmp_path / names[0], tmp_path / names[1], "top")


def test_verilog_names_the_projects_files_only() -> None:
    sources = {
        line.split('"')[1].split(":")[0]
        for line in top_verilog(NAMED_CONFIGS["tiny"]).splitlines()
        if "src =" in line
    }
    assert {"rtl/sparta_rtl/fire.py", "amaranth/lib/fifo.py"} <= sources
    assert not [source for source in sources if source.startswith(("/", "\\")) or ":" in source]
