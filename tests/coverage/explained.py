"""Why a line of the core never runs, or a register never changes, in the campaign's runs: every hole has a reason."""

import re
from dataclasses import dataclass

from sparta_sim.coverage import Hole

__all__ = ["EXPLANATIONS", "Explanation", "explain"]


@dataclass(frozen=True)
class Explanation:
    """A reason, for all holes whose module and line or register match.

    Parameters
    ----------
    kind : str
        ``line`` or ``toggle``.
    module, what : str
        Regular expressions of the whole module name and of a part of the line, or of the whole register name.
    why : str
    """

    kind: str
    module: str
    what: str
    why: str

    def covers(self, hole: Hole) -> bool:
        """Whether it explains this hole."""
        matches = re.search if self.kind == "line" else re.fullmatch
        return (
            hole.kind == self.kind
            and re.fullmatch(self.module, hole.module) is not None
            and matches(self.what, hole.what) is not None
        )


_PACED = (
    "the attention unit never waits here: the pool takes a chunk a cycle, and the token writer needs 2 cycles for one,"
    " which comes at most every 4; tests/rtl/test_attention.py and its cocotb bench stall it"
)
_FEW_RANKS = (
    "rows wait for a slot where a chunk of P features takes longer than K cycles, and heads pause with K = 1, which no"
    " run of this core has: tests/rtl/test_attention.py has both"
)
_ONE_WORD = "a row or line of this core is one 32-bit word; the cores of tests/rtl/test_host.py have several"

_TAKEN = "spikes wait for the cue unit only where positions in a row are silent; tests/end_to_end/test_many_networks.py"

EXPLANATIONS = (
    Explanation("line", r".*\.attention\.results", "^else: .*r_en", _PACED),
    Explanation("line", r".*\.attention_slice", "", _PACED),
    Explanation("toggle", r".*\.attention_slice", "full|waiting", _PACED),
    Explanation("line", r".*\.spike_slice", "", _TAKEN),
    Explanation("toggle", r".*\.spike_slice", "full|waiting", _TAKEN),
    Explanation("toggle", r".*\.attention\.compare", "full|pause", _FEW_RANKS),
    Explanation("line", r".*\.attention\.normalise", r"^case: .*9'h", "a reciprocal that no sum of these runs needs"),
    Explanation("line", r".*\.host", "^else: ", _ONE_WORD),
    Explanation("toggle", r".*\.host", r"word.*", _ONE_WORD),
    Explanation("line", r"sparta_ram__.*", r"^else: .* / if \(read_en\)", "a memory that is read in every cycle"),
    Explanation(
        "line", r".*\.rank\.reader\.surround", "^cond_else: ",
        "scores saturate beyond 2047, rates of 8 steps are at most 64 a scale; tests/rtl/test_spatial.py saturates",
    ),
    Explanation(
        "line", r".*\.rank\.scorer", "^cond_then: .*11'h7ff",
        "gated rates saturate from 514 on, rates of 8 steps are at most 64 a scale; tests/rtl/test_rank.py saturates",
    ),
    Explanation(
        "line", r".*\.feedback", "^cond_then: .*16'hffff",
        "activity saturates beyond 65535, sums of so few values do not reach it; tests/rtl/test_feedback.py saturates",
    ),
    Explanation(
        "line", r".*\.gate", "^cond_then: .*2'h2",
        "spikes of up to 8 steps lie in two lines of this core, as bit planes do; tests/rtl/test_gate.py has more",
    ),
)  # fmt: skip


def explain(hole: Hole) -> str | None:
    """The reason, or None."""
    return next((item.why for item in EXPLANATIONS if item.covers(hole)), None)
