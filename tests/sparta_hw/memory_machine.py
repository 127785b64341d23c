"""A machine that knows only memories and descriptors: ARCHITECTURE.md, one entry at a time."""

from collections.abc import Iterator
from math import isqrt

import numpy as np

from sparta_hw.descriptor import Destination, MlpSet, Op, RankBy, decode
from sparta_hw.interpreter import run_stream
from sparta_hw.ir import Graph, Kind
from sparta_hw.numerics import EXP_TABLE, RECIPROCAL_TABLE
from sparta_hw.program import Program
from sparta_hw.tensor_layout import Memory, TensorLayout

__all__ = ["Machine", "check"]

_CUES = (Memory.FIRST, Memory.INTERVAL, Memory.RATE)


def signed(value: np.ndarray, bits: int) -> np.ndarray:
    """Two's complement numbers out of the lowest bits."""
    half = 1 << bits - 1
    return (np.asarray(value, np.int64) + half) % (1 << bits) - half


def s12(value: np.ndarray) -> np.ndarray:
    return np.clip(value, -2048, 2047)


class Machine:
    """Memories of one core, and what each descriptor does to them.

    ``found`` has every tensor of the program as it was when its last descriptor was done; rank-indexed ones have K
    rows.
    """

    def __init__(self, program: Program) -> None:
        self.program, self.config = program, program.config
        self.weights = program.weights.astype(np.int64)
        bits = [[row >> 16 * n & 0x7FF for n in range(8)] for row in program.score_rows()]
        self.tables = signed(np.array(bits), 11).reshape(-1, 4, 2)
        self.tables = self.tables.reshape(max(len(program.score_tables), 1), -1, 4, 2)
        factors = np.array(program.factor_rows())
        self.timing, self.sharpness = factors[:128] & 0xFF, factors[:128] >> 8 & 0xFF
        self.k_table = factors >> 16
        self.mlps = np.array([[row >> 8 * n & 0xFF for n in range(8)] for row in program.mlp_rows()])
        self.state = 0

    def run(self, sample: np.ndarray, request: int) -> None:
        self.memory = np.full((self.config.spike_lines, self.config.line, self.config.steps), -1)
        self._load(self.program.pack_input(sample))
        self.request, self.k, self.magnitude = request, 0, 0
        self.cues: dict[int, tuple[int, ...]] = {}
        self.rows: dict[int, np.ndarray] = {}
        self.by_memory: dict[Memory, np.ndarray] = {}
        self.group: list[int] = []
        self.gains = np.zeros(0, int)
        self.pooled = np.full(4 * self.config.max_features, -1 << 40)
        self.found: dict[str, np.ndarray] = {}
        for index, word in enumerate(self.program.descriptors):
            d = decode(word)
            assert d["id"] == index
            if d["op"] is Op.END:
                return
            getattr(self, Op(d["op"]).name.lower())(d)
            for place in self.program.tensors.values():
                if place.descriptors and place.descriptors[-1] == index:
                    self.found[place.name] = self._tensor(place, d)
        raise AssertionError("no END")

    # Memory of spikes.

    def _load(self, words: np.ndarray) -> None:
        bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little").reshape(-1, 32)
        width = self.config.line * self.config.steps
        lines = bits.reshape(-1, -(-width // 32) * 32)[:, :width]
        self.memory[: len(lines)] = lines.reshape(-1, self.config.line, self.config.steps)

    def _words(self, base: int, entries: np.ndarray, groups: int) -> np.ndarray:
        """(entries, groups * S) bits."""
        lines = base + entries // self.config.line * groups
        bits = self.memory[lines[:, None] + np.arange(groups), (entries % self.config.line)[:, None]]
        assert bits.size == 0 or bits.min() >= 0, "reads an entry that nothing wrote"
        return bits.reshape(len(entries), groups * self.config.steps)

    def _write(self, base: int, entries: np.ndarray, groups: int, words: np.ndarray) -> None:
        """Words (entries, steps)."""
        padded = np.zeros((len(entries), groups * self.config.steps), int)
        padded[:, : words.shape[1]] = words
        lines = base + entries // self.config.line * groups
        place = (lines[:, None] + np.arange(groups), (entries % self.config.line)[:, None])
        self.memory[place] = padded.reshape(len(entries), groups, -1)

    def _write_integers(self, base: int, entries: np.ndarray, values: np.ndarray) -> None:
        planes = values[:, None] >> np.arange(7, -1, -1) & 1
        self._write(base, entries, self.config.groups(8), planes)

    def _tensor(self, place: TensorLayout, d: dict) -> np.ndarray:
        if place.memory is Memory.STATE:
            return np.array([self.state])
        if place.memory in (Memory.QUERY, Memory.KEY, Memory.VALUE):
            number = Destination[place.memory.name]
            return self.rows[number].reshape(self.k, -1)[:, : place.channels]
        if place.memory is not Memory.SPIKES:
            values = self.by_memory[place.memory]
            return values[:, : place.channels] if len(place.shape) == 2 else values[: place.shape[0]]
        ranked = d["op"] in (Op.GATHER, Op.ATTEND) or d.get("ranked", 0)
        count = self.k if ranked else place.positions
        entries = np.arange(count)[:, None] * place.pitch + np.arange(place.channels)
        words = self._words(place.base, entries.reshape(-1), place.groups)[:, : place.steps]
        if place.kind is Kind.SPIKES:
            return words.reshape(count, place.channels, -1).transpose(2, 1, 0).reshape(place.shape)
        return (words @ _plane_weights(place.steps, place.type.signed)).reshape(-1, *place.shape[1:])

    # The neuron array.

    def _windows(self, d: dict, position: int) -> Iterator[tuple[int, int]]:
        """Entry and weight row of everything a position sees."""
        row, column = (0, position) if d["ranked"] else divmod(position, d["out_width"])
        for ky in range(d["kernel_height"]):
            y = row * d["y_step"] + ky - d["pad"]
            for i in range(d["run"]):
                x = column * d["x_step"] - d["x_start"] + i
                if 0 <= y < d["in_height"] and 0 <= x < d["row_pitch"]:
                    yield y * d["row_pitch"] + x, ky * d["run"] + i

    def layer(self, d: dict) -> None:
        results = []
        header, width = self.config.header_rows, self.config.weight_bits
        used = d["slots"] * self.config.fire_lanes
        blocks = self.weights[d["weight_base"] :][: d["tiles"] * d["weight_pitch"]]
        tiles = blocks.reshape(d["tiles"], d["weight_pitch"], -1)
        numbers = np.stack([self._parameters(tile[:header]) for tile in tiles])[:, :used].reshape(-1)
        bias, theta, leak = signed(numbers & (1 << 24) - 1, 24), numbers >> 24 & 0xFFFF, numbers >> 40
        weights = signed(tiles[:, header:, :used], width).transpose(1, 0, 2)
        weights = weights.reshape(len(weights), -1)
        for position in range(self.k if d["ranked"] else d["out_height"] * d["out_width"]):
            seen = np.array(list(self._windows(d, position)), int).reshape(-1, 2)
            words = self._words(d["in_base"], seen[:, 0], d["groups"])[:, : d["steps"]]
            acc = words.T @ weights[seen[:, 1]]
            assert np.abs(acc).max() < 1 << self.config.acc_bits - 1
            if d["integer"]:
                acc = (_plane_weights(d["steps"], d["signed"]) @ acc)[None]
            x = acc + bias
            assert np.abs(x).max() < 1 << self.config.sum_bits - 1
            results.append(self._result(d, x, theta, leak))
        self._store(d, results)

    def _parameters(self, header: np.ndarray) -> np.ndarray:
        """48 bits of each lane: a header row has parts of one lane of the fire stage after the other."""
        share, width = self.config.fire_share, self.config.weight_bits
        parts = header.reshape(share, len(header), -1)
        return (parts << width * np.arange(len(header))[:, None]).sum(axis=1).reshape(-1)

    def _result(self, d: dict, x: np.ndarray, theta: np.ndarray, leak: np.ndarray) -> np.ndarray:
        """Spikes (lanes, T) or numbers (lanes,)."""
        if d["destination"] in (Destination.SPIKES, Destination.COUNTS):
            drive = np.clip(x >> d["shift"], -(1 << 15), (1 << 15) - 1)
            drive = np.repeat(drive, d["out_steps"], axis=0) if d["direct"] else drive
            assert len(drive) == d["out_steps"]
            return self._fire(d, drive, theta, leak)
        return x[0] if d["destination"] == Destination.LOGITS else np.clip(x[0] >> d["shift"], -128, 127)

    def _fire(self, d: dict, drive: np.ndarray, theta: np.ndarray, leak: np.ndarray) -> np.ndarray:
        offset = ((self.state >> 8) * d["feedback_gain"]) >> 8
        offset = max(-d["feedback_limit"], min(d["feedback_limit"], offset))
        theta = np.clip(theta + offset, 1, 32767)
        v, spikes = np.full(len(theta), d["v_reset"]), []
        for x in drive:
            v = v + ((x - v) * leak >> 8)
            spikes.append(v >= theta)
            v = np.where(spikes[-1], v - theta if d["soft"] else d["v_reset"], v)
        return np.stack(spikes, axis=1).astype(int)

    def _store(self, d: dict, results: list[np.ndarray]) -> None:
        values = np.stack(results)
        assert values.shape[1] == d["out_pitch"] == d["tiles"] * d["slots"] * self.config.fire_lanes
        assert not values[:, d["outputs"] :].any(), "a lane without an output is not silent"
        match d["destination"]:
            case Destination.SPIKES | Destination.COUNTS:
                entries = np.arange(values.shape[0] * values.shape[1])
                self._write(d["out_base"], entries, d["out_groups"], values.reshape(len(entries), -1))
            case Destination.TOKENS:
                assert (d["out_steps"], d["out_groups"]) == (8, self.config.groups(8))
                self._write_integers(d["out_base"], np.arange(values.size), values.reshape(-1))
            case Destination.LOGITS:
                self.by_memory[Memory.RESULTS] = values[0]
            case _:
                self.rows[d["destination"]] = values.reshape(-1, self.config.lanes)
        if d["destination"] == Destination.COUNTS:
            assert len(values) == 1
            self.by_memory[Memory.RESULTS] = values[0].sum(axis=1)
        if d["cues"]:
            for position, words in enumerate(values[:, : d["outputs"]]):
                self.cues[d["cue_base"] + position] = _cues(words)

    # Records and rankings.

    def score(self, d: dict) -> None:
        totals, cells = [], []
        for p in range(d["tokens"]):
            row, column = divmod(p, d["width"])
            cell = (
                row // d["cell_height"] * d["cell_columns"] + column // d["cell_width"] if d["pooled"] else 0
            )
            total = np.zeros(5, int)
            for s in range(d["scales"]):
                q = cell if d["pooled"] and s == d["scales"] - 1 else p
                cues = self.cues[d[f"cue_base{s}"] + q]
                scores = sum(self.tables[s, cue, n] for n, cue in enumerate(cues))
                total += np.array([*scores, cues[0], cues[1], cues[3]])
            totals.append([*s12(total[:2]), *total[2:]])
            cells.append(cell)
        names = (Memory.MSP, Memory.TEMPORAL, *_CUES)
        self.by_memory |= dict(zip(names, np.array(totals).T, strict=True))
        self.cells = np.array(cells)

    def _mlp(self, number: MlpSet, d: dict, x: list, prefix: str = "") -> np.ndarray:
        units = self.mlps[8 * number : 8 * number + 8]
        weights = signed(units[:, :4], 8)
        bias = signed(units[:, 4] + (units[:, 5] << 8) + (units[:, 6] << 16), 24)
        sums = np.stack(x, -1) @ weights[:, :3].T + bias
        hidden = np.clip(sums >> d[f"{prefix}hidden_shift"], 0, 2047)
        return s12((hidden @ weights[:, 3] + d[f"{prefix}bias"]) >> d[f"{prefix}shift"])

    def rank(self, d: dict) -> None:
        record, n = self.by_memory, d["tokens"]
        if d["by"] == RankBy.RATE:
            assert n == len(record[Memory.RATE])
            order = _ranking(record[Memory.RATE])
            self.group = [int(order[i % min(n, d["groups"])]) for i in range(d["groups"])]
            assert min(n, d["groups"]) <= self.config.max_topk
            record[Memory.GROUP] = np.array(self.group)
            return
        p = self.token_places = np.array(self.group if d["grouped"] else range(n))
        assert len(p) == n
        first, interval, rate = (record[cue][p] for cue in _CUES)
        if d["by"] == RankBy.PRIORITY:
            gated = np.minimum(rate * self.gains >> 6, 2047)
            score = self._mlp(MlpSet.PRIORITY, d, [first, interval, gated])
        else:
            score = self._stsg(d, p)
            self._choose_k(d, first, interval, rate)
        record[Memory.SCORE] = score
        self.list = _ranking(score)[: self.k]
        record[Memory.SELECT] = self.list
        self.masks = record[Memory.MSP][p[self.list]]
        bucket = (record[Memory.TEMPORAL][p[self.list]] >> 5) + 64
        self.query_gain = self.sharpness[bucket] if d["temperature"] else np.full(self.k, 64)
        if d["by"] != RankBy.PRIORITY:
            self.winners = set(self.list.tolist())

    def _stsg(self, d: dict, p: np.ndarray) -> np.ndarray:
        record = self.by_memory
        if d["by"] == RankBy.MSP:
            return record[Memory.MSP][p]
        spatial = np.zeros(len(p), int)
        if d["spatial"]:
            grid = record[Memory.RATE].reshape(-1, d["width"])
            wide = np.pad(grid, 1)
            shifts = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
            around = sum(wide[y : y + grid.shape[0], x : x + grid.shape[1]] for y, x in shifts)
            spatial = s12(((grid << 9) - d["inhibition"] * around) >> 9).reshape(-1)[p]
            record[Memory.SPATIAL] = spatial
        return self._mlp(MlpSet.FUSION, d, [spatial, record[Memory.MSP][p], record[Memory.TEMPORAL][p]])

    def _choose_k(self, d: dict, first: np.ndarray, interval: np.ndarray, rate: np.ndarray) -> None:
        n, own = d["tokens"], 1
        if d["dynamic"]:
            variance = n * int((first**2).sum()) - int(first.sum()) ** 2
            x = [rate.sum() // n, isqrt(variance) // n, interval.sum() // n]
            own = int(self.k_table[(int(self._mlp(MlpSet.SPARSITY, d, x, "sparsity_")) >> 4) + 128])
            self.by_memory[Memory.DYNAMIC_K] = np.array([own])
        self.k = min(self.request or own, n, self.config.max_topk)

    # Tokens.

    def gate(self, d: dict) -> None:
        line, n = self.config.line, d["tokens"]
        width = d["chunks"] * line
        self.gains = np.array([d["gain_selected" if i in self.winners else "gain_other"] for i in range(n)])
        places = np.array(self.group) if d["grouped"] else np.arange(n)
        if d["timing"]:
            bucket = (self.by_memory[Memory.MSP][places] >> 5) + 64
            self.gains = np.minimum(self.gains * self.timing[bucket] >> 6, 255)
        places = self.cells[places] if d["pooled"] else places
        total = np.zeros(width, int)
        for token, place in enumerate(places):
            entries = np.arange(width)
            count = self._words(d["in_base"], place * width + entries, d["groups"]).sum(axis=1)
            values = np.minimum(count * self.gains[token] >> d["shift"], d["limit"])
            self._write_integers(d["out_base"], token * d["out_chunks"] * line + entries, values)
            total += values << d["pool_shift"]
        self.pooled[d["feature_base"] : d["feature_base"] + width] = total

    def gather(self, d: dict) -> None:
        for rank, token in enumerate(self.list):
            lines = self.memory[d["in_base"] + token * d["lines"] :][: d["lines"]].copy()
            assert lines.min() >= 0, "gathers a line that nothing wrote"
            self.memory[d["out_base"] + rank * d["lines"] :][: d["lines"]] = lines

    def attend(self, d: dict) -> None:
        lanes, k, pitch = self.config.lanes, self.k, d["pitch"]
        parts = [self._head(d, base, min(d["chunks"], pitch - base)) for base in range(0, pitch, d["chunks"])]
        rows = np.hstack(parts)
        self.magnitude += int(np.abs(rows).sum())
        if d["to_tokens"]:
            entries = np.arange(k)[:, None] * pitch * lanes + np.arange(pitch * lanes)
            self._write_integers(d["out_base"], entries.reshape(-1), rows.reshape(-1))
        else:
            self.pooled[: pitch * lanes] += rows.sum(axis=0) << d["pool_shift"]
            self.by_memory[Memory.ATTENTION] = rows

    def _head(self, d: dict, base: int, chunks: int) -> np.ndarray:
        k = self.k
        at = np.arange(k)[:, None] * d["pitch"] + base + np.arange(chunks)
        query, key, value = (self.rows[n][at].reshape(k, -1) for n in range(1, 4))
        z = s12((s12(query @ key.T >> d["shift"]) * self.query_gain[:, None] >> 6) + self.masks)
        distance = z.max(axis=1, keepdims=True) - z
        weight = np.array(EXP_TABLE)[distance & 15] >> np.minimum(distance >> 4, 15)
        total = weight.sum(axis=1, keepdims=True)
        exponent = np.array([[int(s).bit_length() - 1] for s in total[:, 0]])
        reciprocal = np.array(RECIPROCAL_TABLE)[((total << 7) >> exponent) - 128]
        return np.clip((weight @ value * reciprocal) >> (exponent + 8), -128, 127)

    def pool(self, d: dict) -> None:
        width = d["chunks"] * self.config.line
        assert np.abs(self.pooled[:width]).max() < 1 << 27
        values = np.clip(self.pooled[:width] >> d["shift"], -128, 127)
        self._write_integers(d["out_base"], np.arange(width), values)

    def feedback(self, d: dict) -> None:
        activity = min(self.magnitude >> d["activity_shift"], 65535)
        self.state += (((activity - d["target"]) << 8) - self.state) >> d["rate_shift"]
        assert abs(self.state) < 1 << 25


def _plane_weights(planes: int, negative: bool) -> np.ndarray:
    weights = 2 ** np.arange(planes)[::-1]
    weights[0] *= -1 if negative else 1
    return weights


def _cues(words: np.ndarray) -> tuple[int, ...]:
    """First, interval, burst and rate of channel words (C, T)."""
    channels, steps = words.shape
    first, span, gaps, pairs, count = np.zeros(5, int)
    for word in words:
        at = np.flatnonzero(word)
        first += at[0] if len(at) else steps
        span += at[-1] - at[0] if len(at) else 0
        gaps += max(len(at) - 1, 0)
        pairs += (np.diff(at) == 1).sum()
        count += len(at)
    interval = (span << 3) // gaps if gaps else steps << 3
    return (first << 3) // channels, interval, (pairs << 3) // channels, (count << 3) // channels


def _ranking(scores: np.ndarray) -> np.ndarray:
    return np.array(sorted(range(len(scores)), key=lambda i: (-scores[i], i)))


def check(graph: Graph, program: Program, samples: np.ndarray, request: int) -> None:
    """Compare every tensor of a stream of samples with the interpreter."""
    expected = run_stream(graph, samples, request)
    machine = Machine(program)
    for n, sample in enumerate(samples):
        machine.run(sample, request)
        assert machine.k == expected["k"][n]
        assert machine.found.keys() == program.tensors.keys() - {program.input_name}
        for name, values in machine.found.items():
            wanted = np.atleast_1d(expected[name][n])[: len(values)]
            np.testing.assert_array_equal(values, wanted, err_msg=f"sample {n}, {name}")
