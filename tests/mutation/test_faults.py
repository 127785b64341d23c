from tests.mutation.faults import FAULTS
from tests.mutation.run import mutated, stages


def test_every_fault_changes_its_source_in_one_place() -> None:
    assert len(FAULTS) >= 30
    assert len({mutated(fault) for fault in FAULTS}) == len(FAULTS)


def test_every_fault_meets_tests() -> None:
    assert all(list(stages(fault)) for fault in FAULTS)
