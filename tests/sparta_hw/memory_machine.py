"""A machine that knows only memories and descriptors: ARCHITECTURE.md, one entry at a time."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sparta_hw.descriptor import Destination, Op, decode
from sparta_hw.interpreter import run
from sparta_hw.interpreter.attention import attention
from sparta_hw.interpreter.selection import spike_cues, top_k
from sparta_hw.ir import Graph, SparseAttention
from sparta_hw.program import Program

__all__ = ["Machine", "check"]


class Machine:
    """Memories of one core, and what each descriptor does to them."""

    def __init__(self, program: Program, graph: Graph) -> None:
        self.program, self.config = program, program.config
        self.memory = np.full((self.config.spike_lines, self.config.line, self.config.steps), -1)
        self.operation = next(op for op in graph.operations if isinstance(op, SparseAttention))
        self.integers: dict[str, np.ndarray] = {}

    def load(self, words: np.ndarray) -> None:
        bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little").reshape(-1, 32)
        each = -(-self.config.line * self.config.steps // 32)
        lines = bits.reshape(-1, each * 32)[:, : self.config.line * self.config.steps]
        self.memory[: len(lines)] = lines.reshape(-1, self.config.line, self.config.steps)

    def word(self, base: int, entry: int, groups: int) -> np.ndarray:
        line = base + entry // self.config.line * groups
        word = self.memory[line : line + groups, entry % self.config.line].reshape(-1)
        assert word.min() >= 0, "reads an entry that nothing wrote"
        return word

    def write(self, base: int, entry: int, groups: int, word: np.ndarray) -> None:
        padded = np.zeros(groups * self.config.steps, int)
        padded[: len(word)] = word
        line = base + entry // self.config.line * groups
        self.memory[line : line + groups, entry % self.config.line] = padded.reshape(groups, -1)

    def write_integer(self, base: int, entry: int, value: int) -> None:
        planes = np.array([value >> 7 - plane & 1 for plane in range(8)])
        self.write(base, entry, self.config.groups(8), planes)

    def run(self, k: int) -> None:
        self.k = k
        for word in self.program.descriptors:
            d = decode(word)
            op = d["op"]
            if op is Op.END:
                return
            getattr(self, op.name.lower())(d)
        raise AssertionError("no END")

    def windows(self, d: dict, position: int) -> Iterator[tuple[int, int]]:
        """Entry and weight row of everything a position sees."""
        row, column = divmod(position, d["out_width"])
        for ky in range(d["kernel_height"]):
            y = row * d["y_step"] + ky - d["pad"]
            if d["gather"]:
                y = self.integers["index"][position]
            for i in range(d["run"]):
                x = (0 if d["gather"] else column * d["x_step"]) - d["x_start"] + i
                if 0 <= y < d["in_height"] and 0 <= x < d["row_pitch"]:
                    yield y * d["row_pitch"] + x, ky * d["run"] + i

    def layer(self, d: dict) -> None:
        rows, lanes = self.program.weights.astype(np.int64), self.config.lanes
        positions = self.k if d["gather"] else d["out_height"] * d["out_width"]
        results = []
        for position in range(positions):
            seen = [
                (self.word(d["in_base"], e, d["groups"])[: d["steps"]], r)
                for e, r in self.windows(d, position)
            ]
            outputs = []
            for tile in range(d["tiles"]):
                block = rows[d["weight_base"] + tile * d["weight_pitch"] :][: d["weight_pitch"]]
                signed = (block + 128) % 256 - 128
                acc = sum(np.outer(word, signed[6 + r]) for word, r in seen)
                assert np.abs(acc).max() < 1 << self.config.acc_bits - 1
                bias = (block[0] + (block[1] << 8) + (block[2] << 16) + (1 << 23)) % (1 << 24) - (1 << 23)
                theta, leak = block[3] + (block[4] << 8), block[5]
                outputs.append(
                    self.integer(d, acc, bias) if d["integer"] else self.fire(d, acc, bias, theta, leak)
                )
            results.append(np.concatenate(outputs, axis=-1))
            assert results[-1].shape[-1] == d["out_pitch"] == d["tiles"] * lanes
            if d["destination"] == Destination.SPIKES:
                for lane in range(d["out_pitch"]):
                    entry = position * d["out_pitch"] + lane
                    self.write(d["out_base"], entry, d["groups"], results[-1][:, lane])
        if d["destination"] != Destination.SPIKES:
            values = np.stack(results)
            assert not values[:, d["outputs"] :].any(), "a lane without an output is not silent"
            self.integers[Destination(d["destination"]).name.lower()] = values
        elif d["cues"]:
            self.spikes = np.stack(results)[:, :, : d["outputs"]]
            assert not np.stack(results)[:, :, d["outputs"] :].any(), "a lane without an output is not silent"

    def integer(self, d: dict, acc: np.ndarray, bias: np.ndarray) -> np.ndarray:
        weights = 2 ** np.arange(d["steps"])[::-1]
        weights[0] *= -1 if d["signed"] else 1
        total = weights @ acc + bias
        return total if d["destination"] == Destination.LOGITS else np.clip(total >> d["shift"], -128, 127)

    def fire(
        self, d: dict, acc: np.ndarray, bias: np.ndarray, theta: np.ndarray, leak: np.ndarray
    ) -> np.ndarray:
        v, spikes = np.full(len(bias), d["v_reset"]), []
        for x in np.clip((acc + bias) >> d["shift"], -(1 << 15), (1 << 15) - 1):
            v = v + ((x - v) * leak >> 8)
            spikes.append(v >= theta)
            v = np.where(spikes[-1], v - theta if d["soft"] else d["v_reset"], v)
        return np.stack(spikes).astype(int)

    def select(self, d: dict) -> None:
        assert self.spikes.shape == (d["tokens"], d["steps"], d["channels"])
        cues = spike_cues(self.spikes.transpose(1, 2, 0)[None, ..., None])
        scores = sum(table[cue] for table, cue in zip(self.program.tables, cues, strict=True))
        self.integers["score"] = scores[0]
        self.integers["index"] = top_k(scores, self.k)[0]

    def gate(self, d: dict) -> None:
        width = d["chunks"] * self.config.line
        self.pooled = np.zeros(width, int)
        for token in range(d["tokens"]):
            gain = d["gain_selected" if token in self.integers["index"] else "gain_other"]
            for feature in range(width):
                count = self.word(d["in_base"], token * width + feature, d["groups"]).sum()
                value = min(count * gain >> d["shift"], 255)
                self.write_integer(d["out_base"], token * width + feature, value)
                self.pooled[feature] += value << d["pool_shift"]

    def attend(self, d: dict) -> None:
        heads = [self.integers[name][None] for name in ("query", "key", "value")]
        assert heads[0].shape[-1] == d["chunks"] * self.config.lanes
        mask = self.integers["score"][self.integers["index"]][None]
        op = replace(self.operation, shift=d["shift"])
        self.integers["attention"] = attention(op, *heads, mask)[0]
        width = self.integers["attention"].shape[1]
        self.pooled[:width] += self.integers["attention"].sum(axis=0) << d["pool_shift"]

    def pool(self, d: dict) -> None:
        for feature in range(d["chunks"] * self.config.line):
            self.write_integer(d["out_base"], feature, np.clip(self.pooled[feature] >> d["shift"], -128, 127))


def check(graph: Graph, program: Program, sample: np.ndarray, k: int) -> None:
    """Compare everything that leaves the spike memory with the interpreter."""
    expected = {name: values[0] for name, values in run(graph, sample[None], k).items()}
    machine = Machine(program, graph)
    machine.load(program.pack_input(sample))
    machine.run(k)
    for name in ("score", "index"):
        np.testing.assert_array_equal(machine.integers[name], expected[name], err_msg=name)
    for name in ("query", "key", "value", "attention", "logits"):
        width = expected[name].shape[-1]
        values = machine.integers[name].reshape(-1, machine.integers[name].shape[-1])[..., :width]
        np.testing.assert_array_equal(values.reshape(expected[name].shape), expected[name], err_msg=name)
