"""The rows of the paper's tables are what they say, and their report says what was measured."""

import pytest

from sparta_quant.experiments.report import compare_order, table_section
from sparta_quant.experiments.tables import TABLES, Table, base_config
from sparta_quant.experiments.trials import Outcome
from sparta_quant.named import NAMED_NETWORKS

BASE = base_config(NAMED_NETWORKS["nmnist"], 16)


def outcome(accuracy: float) -> Outcome:
    return Outcome(accuracy, accuracy, 22.0, 0.65, 0.3, 1.8)


def outcomes(table: Table) -> dict[str, Outcome]:
    """The paper's own accuracies."""
    return {row.label: outcome(row.paper["accuracy"] / 100) for row in table.rows}


def test_rows_vary_what_their_table_is_about() -> None:
    timesteps, heterogeneity, policy, cues = TABLES
    assert [row.config(BASE).timesteps for row in timesteps.rows] == [4, 8, 12, 16, 20, 32]
    assert heterogeneity.rows[5].config(BASE).tau_sigma == 0.5
    assert heterogeneity.rows[5].config(BASE).v_sigma == 0.3
    assert [row.config(BASE).default_k for row in policy.rows] == [0, 48, 32, 16]
    assert [row.config(BASE).dynamic_k for row in policy.rows] == [True, False, False, False]
    assert [len(row.config(BASE).msp_cues) for row in cues.rows] == [3, 2, 2, 2, 1, 1, 1, 0]


def test_the_base_is_a_row_of_every_table() -> None:
    assert all(sum(row.config(BASE) == BASE for row in table.rows) == 1 for table in TABLES)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"table{table.number}")
def test_a_section_has_a_line_for_each_row(table: Table) -> None:
    cost = {row.label: (1000.0, 10.0) for row in table.rows}
    section = table_section(table, outcomes(table), cost, "plot.png")
    for row in table.rows:
        line = next(line for line in section.splitlines() if line.startswith(f"| {row.label} |"))
        assert f"{row.paper['accuracy']:.2f}" in line
    assert "All rows rank as in the paper." in section
    assert "![" in section


def test_another_order_is_said() -> None:
    table = TABLES[0]
    swapped = outcomes(table) | {"T = 32": outcome(0.999)}
    sentence = compare_order(table, swapped)
    assert sentence == (
        "The order differs from the paper's in 3 of 15 pairs of rows; here 'T = 32' is the best row, in the paper "
        "'T = 20'."
    )
    assert compare_order(table, outcomes(table) | {"T = 4": outcome(0.93)}).endswith(
        "the best row is the paper's."
    )
