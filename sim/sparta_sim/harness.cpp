// A host for the Verilated core, as a C library: register accesses, two streams, and the trace.
//
// It loads memories and runs inferences exactly as a host does (docs/host.md), many inferences in one call, and
// records every trace event. Nothing here knows a network: memory images and spikes come in as 32-bit words.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "Vsparta_core.h"
#include "verilated.h"
#if VM_COVERAGE
#include "verilated_cov.h"
#endif
#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Wave = VerilatedFstC;
#elif VM_TRACE
#include "verilated_vcd_c.h"
using Wave = VerilatedVcdC;
#endif

// Verilator writes the second of two underscores as its code.
#define PORT2(a, b) a##___05F##b
#define PORT3(a, b, c) a##___05F##b##___05F##c

#include "weight_memory.h"

namespace {

enum Register : uint32_t {
    CONTROL = 0x08,
    STATUS = 0x0C,
    K = 0x10,
    LOAD_TARGET = 0x14,
    LOAD_ROW = 0x18,
    LOAD_DATA = 0x1C,
    CYCLES = 0x20,
    COUNTER_LAYER = 0x24,
    COUNTER_CYCLES = 0x28,
    COUNTER_ENTRIES = 0x2C,
    STATE = 0x30,
    STREAM_BASE = 0x34,
    STREAM_ROWS = 0x38,
    STREAM_STALLS = 0x3C,
    COUNTER_STALLS = 0x40,
};

constexpr uint32_t START = 1, ABORT = 2, RESET_STATE = 4;  // bits of CONTROL
constexpr uint32_t BUSY = 1;                               // bit of STATUS

enum Event : uint32_t { SPIKES = 1, VALUES = 2, SCORE = 3, SELECT = 4, ATTENTION = 5, RECORD = 6 };

constexpr size_t RECORD_WORDS = 3;

constexpr size_t COUNTERS = 3;  // of a descriptor: cycles, entries, stalls

constexpr uint32_t POLL_CYCLES = 256;  // between looks at a core whose weights do not come

constexpr uint64_t REGISTER_TIMEOUT = 10000;

constexpr size_t words_of(size_t bytes) { return (bytes + 3) / 4; }

// Words of a port, whichever of Verilator's types it has.
template <class T>
void copy_words(std::vector<uint32_t>& out, const T& port, size_t words) {
    uint32_t buffer[words_of(sizeof(T))] = {};
    std::memcpy(buffer, &port, sizeof(T));
    for (size_t i = 0; i < words; i++) out.push_back(i < words_of(sizeof(T)) ? buffer[i] : 0);
}

struct Core {
    VerilatedContext context;
    std::unique_ptr<Vsparta_core> top;
#if VM_TRACE
    std::unique_ptr<Wave> wave;
#endif
    std::string error;
    uint64_t random = 1;
    uint32_t stall_input = 0, stall_output = 0;  // of 256 cycles, how many
    const uint32_t* input = nullptr;
    size_t input_words = 0;
    std::vector<int32_t> results;
    bool last_result = false;
    std::vector<uint32_t> events;
    bool record = false;
    uint32_t cycle = 0;
    uint32_t read_data = 0, response = 0;
    WeightMemory<Vsparta_core> memory;
    uint32_t stream_base = 0, stream_rows = 0;

    Core() : top(std::make_unique<Vsparta_core>(&context, "sparta_core")) {}

    bool stalls(uint32_t of_256) {
        if (!of_256) return false;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return (random >> 24 & 0xFF) < of_256;
    }

    void dump() {
#if VM_TRACE
        if (wave) wave->dump(context.time());
#endif
        context.timeInc(1);
    }

    static constexpr size_t mask_words() { return words_of(sizeof(Vsparta_core::PORT3(trace, spikes, mask))); }

    static constexpr size_t data_words() {
        constexpr size_t spikes = words_of(sizeof(Vsparta_core::PORT3(trace, spikes, data)));
        constexpr size_t values = words_of(sizeof(Vsparta_core::PORT3(trace, values, data)));
        constexpr size_t widest = spikes > values ? spikes : values;
        return widest > RECORD_WORDS ? widest : RECORD_WORDS;
    }

    static constexpr size_t event_words() { return 5 + mask_words() + data_words(); }

    template <class Mask, class Data>
    void add(Event kind, uint32_t a, uint32_t b, const Mask& mask, const Data& data) {
        for (uint32_t word : {uint32_t(kind), uint32_t(top->PORT2(trace, layer)), cycle, a, b}) events.push_back(word);
        copy_words(events, mask, mask_words());
        copy_words(events, data, data_words());
    }

    void record_events() {
        const uint32_t none = 0;
        if (top->PORT3(trace, spikes, valid))
            add(SPIKES, top->PORT3(trace, spikes, line), 0, top->PORT3(trace, spikes, mask),
                top->PORT3(trace, spikes, data));
        if (top->PORT3(trace, values, valid))
            add(VALUES, top->PORT3(trace, values, row), top->PORT3(trace, values, destination), none,
                top->PORT3(trace, values, data));
        if (top->PORT3(trace, record, valid)) {
            const uint32_t record[RECORD_WORDS] = {
                top->PORT3(trace, record, msp) | uint32_t(top->PORT3(trace, record, temporal)) << 16,
                top->PORT3(trace, record, first) | uint32_t(top->PORT3(trace, record, interval)) << 16,
                top->PORT3(trace, record, rate),
            };
            add(RECORD, top->PORT3(trace, record, token), 0, none, record);
        }
        if (top->PORT3(trace, score, valid)) {
            const uint32_t score =
                top->PORT3(trace, score, value) | uint32_t(top->PORT3(trace, score, spatial)) << 16;
            add(SCORE, top->PORT3(trace, score, token), 0, none, score);
        }
        if (top->PORT3(trace, select, valid))
            add(SELECT, top->PORT3(trace, select, rank), top->PORT2(trace, topk), none,
                top->PORT3(trace, select, token));
        if (top->PORT3(trace, attention, valid))
            add(ATTENTION, top->PORT3(trace, attention, rank), top->PORT3(trace, attention, feature), none,
                top->PORT3(trace, attention, value));
    }

    // One clock cycle: everything is sampled before the rising edge, and answered after it.
    void step() {
        if (!top->PORT2(spikes, valid) && input_words && !stalls(stall_input)) {
            top->PORT2(spikes, valid) = 1;
            top->PORT2(spikes, payload) = *input;
        }
        top->PORT2(results, ready) = !stalls(stall_output);
        memory.drive(*top, [&](uint32_t of_256) { return stalls(of_256); });
        top->clk = 0;
        top->eval();
        dump();
        if (record) record_events();
        const bool spikes = top->PORT2(spikes, valid) && top->PORT2(spikes, ready);
        const bool result = top->PORT2(results, valid) && top->PORT2(results, ready);
        const uint64_t payload = top->PORT2(results, payload);
        const bool aw = top->PORT2(axil, awvalid) && top->PORT2(axil, awready);
        const bool w = top->PORT2(axil, wvalid) && top->PORT2(axil, wready);
        const bool b = top->PORT2(axil, bvalid) && top->PORT2(axil, bready);
        const bool ar = top->PORT2(axil, arvalid) && top->PORT2(axil, arready);
        const bool r = top->PORT2(axil, rvalid) && top->PORT2(axil, rready);
        if (b) response = top->PORT2(axil, bresp);
        if (r) response = top->PORT2(axil, rresp), read_data = top->PORT2(axil, rdata);
        if (!top->rst) memory.sample(*top);
        top->clk = 1;
        top->eval();
        dump();
        cycle++;
        if (spikes) top->PORT2(spikes, valid) = 0, input++, input_words--;
        if (result) results.push_back(int32_t(payload)), last_result = last_result || payload >> 32;
        if (aw) top->PORT2(axil, awvalid) = 0;
        if (w) top->PORT2(axil, wvalid) = 0;
        if (b) top->PORT2(axil, bready) = 0;
        if (ar) top->PORT2(axil, arvalid) = 0;
        if (r) top->PORT2(axil, rready) = 0;
        memory.advance(*top);
    }

    template <class Done>
    bool wait(Done done, uint64_t limit, const std::string& what) {
        for (uint64_t i = 0; !done(); i++) {
            if (i == limit) {
                error = what + " did not finish within " + std::to_string(limit) + " cycles";
                return false;
            }
            step();
        }
        return true;
    }

    bool check_response(const char* access, uint32_t address) {
        char text[80];
        std::snprintf(text, sizeof text, "%s of register 0x%02x answered with AXI error %u", access, address, response);
        if (response) error = text;
        return !response;
    }

    bool write(uint32_t address, uint32_t data) {
        top->PORT2(axil, awaddr) = address;
        top->PORT2(axil, wdata) = data;
        top->PORT2(axil, wstrb) = 0xF;
        top->PORT2(axil, awvalid) = top->PORT2(axil, wvalid) = top->PORT2(axil, bready) = 1;
        return wait([&] { return !top->PORT2(axil, bready); }, REGISTER_TIMEOUT, "a register write") &&
               check_response("write", address);
    }

    bool read(uint32_t address, uint32_t* data) {
        top->PORT2(axil, araddr) = address;
        top->PORT2(axil, arvalid) = top->PORT2(axil, rready) = 1;
        if (!wait([&] { return !top->PORT2(axil, rready); }, REGISTER_TIMEOUT, "a register read")) return false;
        *data = read_data;
        return check_response("read", address);
    }

    void reset(int cycles) {
        top->PORT2(axil, awvalid) = top->PORT2(axil, wvalid) = top->PORT2(axil, bready) = 0;
        top->PORT2(axil, arvalid) = top->PORT2(axil, rready) = 0;
        top->PORT2(spikes, valid) = 0;
        memory.reset(*top);
        top->rst = 1;
        for (int i = 0; i < cycles; i++) step();
        top->rst = 0;
    }

    // Say where the image of weights is; a core whose weights are on chip has no such registers.
    bool begin_stream() {
        return !stream_rows || (write(STREAM_BASE, stream_base) && write(STREAM_ROWS, stream_rows));
    }

    bool idle(uint32_t* status, uint64_t limit) {
        const uint32_t start = cycle;
        do {
            if (!read(STATUS, status)) return false;
        } while (*status & BUSY && cycle - start < limit);
        if (*status & BUSY) error = "the core was still busy after its last result";
        return !(*status & BUSY);
    }
};

}  // namespace

extern "C" {

struct Run {
    uint64_t samples, words, logits, layers;  // words of one sample's spikes, results of one inference
    uint64_t max_cycles;
    uint32_t k, stall_input, stall_output, stall_memory, latency;  // stalls of 256 cycles; cycles
    uint32_t record, reset_state;
    const uint32_t* spikes;   // [samples][words]
    int32_t* results;         // [samples][logits]
    uint32_t* status;         // [samples] STATUS after the inference
    uint32_t* cycles;         // [samples] CYCLES
    int32_t* state;           // [samples] STATE after the inference
    uint32_t* stalls;         // [samples] STREAM_STALLS
    uint32_t* counters;       // [samples][layers][3] COUNTER_CYCLES, COUNTER_ENTRIES, COUNTER_STALLS
    uint64_t* event_index;    // [samples + 1] first event of each sample
    int (*progress)(void);    // after each sample; other than 0 stops
};

Core* sparta_create(const char* wave, uint64_t seed) {
    auto core = std::make_unique<Core>();
    core->random = seed * 2 + 1;
#if VM_TRACE
    core->context.traceEverOn(true);
    if (wave) {
        core->wave = std::make_unique<Wave>();
        core->top->trace(core->wave.get(), 99);
        core->wave->open(wave);
        if (!core->wave->isOpen()) return nullptr;
    }
#else
    if (wave) return nullptr;
#endif
    core->reset(4);
    core->step();
    return core.release();
}

// Write to `path` how often each line ran and each bit changed; a library not built to count them writes nothing.
void sparta_write_coverage(Core* core, const char* path) {
#if VM_COVERAGE
    core->context.coveragep()->write(path);
#else
    (void)core, (void)path;
#endif
}

void sparta_destroy(Core* core) {
    core->top->final();
#if VM_TRACE
    if (core->wave) core->wave->close();
#endif
    delete core;
}

const char* sparta_error(const Core* core) { return core->error.c_str(); }

uint64_t sparta_event_words(void) { return Core::event_words(); }

uint64_t sparta_mask_words(void) { return Core::mask_words(); }

const uint32_t* sparta_events(const Core* core) { return core->events.data(); }

int sparta_read(Core* core, uint32_t address, uint32_t* data) { return core->read(address, data) ? 0 : -1; }

int sparta_write(Core* core, uint32_t address, uint32_t data) { return core->write(address, data) ? 0 : -1; }

int sparta_load(Core* core, uint32_t target, const uint32_t* words, uint64_t count) {
    if (!core->write(LOAD_TARGET, target) || !core->write(LOAD_ROW, 0)) return -1;
    for (uint64_t i = 0; i < count; i++)
        if (!core->write(LOAD_DATA, words[i])) return -1;
    return 0;
}

// Put an image of weights into external memory, and let the core stream it.
int sparta_stream(Core* core, const uint8_t* bytes, uint64_t size, uint32_t address, uint32_t rows) {
    core->memory.place(bytes, size, address);
    core->stream_base = address;
    core->stream_rows = rows;
    return core->begin_stream() ? 0 : -1;
}

// From now on the memory answers with an error where the image has this byte.
void sparta_spoil(Core* core, uint64_t offset) { core->memory.spoil(offset); }

// Stream one sample and start as sparta_run does, but after `cycles` cycles of that reset the core, or abort.
int sparta_interrupt(Core* core, const uint32_t* spikes, uint64_t words, uint32_t k, uint64_t cycles, int reset) {
    core->input = spikes;
    core->input_words = words;
    core->record = false;
    core->cycle = 0;
    const auto streamed = [&] { return !core->input_words || core->cycle >= cycles; };
    core->wait(streamed, cycles, "the input stream");
    if (core->cycle < cycles && (!core->write(K, k) || !core->write(CONTROL, START))) return -1;
    while (core->cycle < cycles) core->step();
    core->input_words = 0;
    if (reset) {
        core->reset(1);
        if (!core->begin_stream()) return -1;
    } else if (!core->write(CONTROL, ABORT)) {
        return -1;
    }
    uint32_t status;
    return core->idle(&status, REGISTER_TIMEOUT) ? 0 : -1;
}

// Stream one sample and start as sparta_run does, then toggle the clock `cycles` times and do nothing else: the speed of
// the Verilated model alone. Weights are on chip.
int sparta_toggle(Core* core, const uint32_t* spikes, uint64_t words, uint32_t k, uint64_t cycles) {
    core->input = spikes;
    core->input_words = words;
    core->record = false;
    core->stall_input = core->stall_output = 0;
    const auto streamed = [&] { return !core->input_words; };
    if (!core->wait(streamed, words * REGISTER_TIMEOUT, "the input stream")) return -1;
    if (!core->write(K, k) || !core->write(CONTROL, START)) return -1;
    for (uint64_t i = 0; i < cycles; i++) {
        core->top->clk = 0;
        core->top->eval();
        core->top->clk = 1;
        core->top->eval();
    }
    return 0;
}

// Samples that ran: run->samples, or fewer when stopped; -1 with sparta_error after `event_index` tells how many.
int64_t sparta_run(Core* core, const Run* run) {
    core->events.clear();
    core->stall_input = run->stall_input;
    core->stall_output = run->stall_output;
    core->memory.set_timing(run->latency, run->stall_memory);
    run->event_index[0] = 0;
    if (run->reset_state && !core->write(CONTROL, RESET_STATE)) return -1;
    for (uint64_t sample = 0; sample < run->samples; sample++) {
        const auto fail = [&] {
            core->error = "sample " + std::to_string(sample) + ": " + core->error;
            return int64_t(-1);
        };
        core->input = run->spikes + sample * run->words;
        core->input_words = run->words;
        core->results.clear();
        core->last_result = false;
        const auto streamed = [&] { return !core->input_words; };
        if (!core->wait(streamed, run->max_cycles, "the input stream")) return fail();
        if (!core->write(K, run->k)) return fail();
        // Without stalls, cycles do not depend on how quick the host is: weights have come as far as they can.
        const auto prefetched = [&] { return run->stall_memory || core->memory.quiet(); };
        if (!core->wait(prefetched, run->max_cycles, "the weight stream")) return fail();
        core->record = run->record;
        core->cycle = 0;
        if (!core->write(CONTROL, START)) return fail();
        uint32_t* status = run->status + sample;
        const auto complete = [&] {
            if (core->last_result) return true;
            if (!core->memory.failed || core->cycle % POLL_CYCLES) return false;
            return core->read(STATUS, status) && !(*status & BUSY);
        };
        const bool ended = core->wait(complete, run->max_cycles, "the inference");
        if (!ended || !core->idle(status, run->max_cycles)) return fail();
        core->record = false;
        core->error = core->memory.violation;
        if (core->error.empty() && !core->last_result)
            core->error = "the inference ended without results: the memory of the weights answered with an error";
        if (!core->error.empty()) return fail();
        if (core->results.size() != run->logits) {
            core->error = "the core sent " + std::to_string(core->results.size()) + " results, the program has " +
                          std::to_string(run->logits);
            return fail();
        }
        std::memcpy(run->results + sample * run->logits, core->results.data(), run->logits * sizeof(int32_t));
        if (!core->read(CYCLES, run->cycles + sample)) return fail();
        if (!core->read(STATE, reinterpret_cast<uint32_t*>(run->state + sample))) return fail();
        if (!core->read(STREAM_STALLS, run->stalls + sample)) return fail();
        for (uint64_t layer = 0; layer < run->layers; layer++) {
            uint32_t* counter = run->counters + (sample * run->layers + layer) * COUNTERS;
            if (!core->write(COUNTER_LAYER, layer) || !core->read(COUNTER_CYCLES, counter) ||
                !core->read(COUNTER_ENTRIES, counter + 1) || !core->read(COUNTER_STALLS, counter + 2))
                return fail();
        }
        run->event_index[sample + 1] = core->events.size() / Core::event_words();
        if (run->progress && run->progress()) return int64_t(sample + 1);
    }
    return int64_t(run->samples);
}

}  // extern "C"
