// External memory behind the core's AXI4 read port: an image of weights, a latency, and random pauses.
//
// It answers bursts in order, each from `latency` cycles after its address was accepted, one beat a cycle, unless it
// pauses. Addresses outside of the image are answered with DECERR. What the port must not do, it notices.

#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

// A core without the port: nothing happens.
template <class Top, class = void>
struct WeightMemory {
    static constexpr bool exists = false;
    std::string violation;
    bool failed = false;
    void place(const uint8_t*, uint64_t, uint32_t) {}
    void spoil(uint64_t) {}
    void set_timing(uint32_t, uint32_t) {}
    void reset(Top&) {}
    bool quiet() const { return true; }
    template <class Stalls>
    void drive(Top&, Stalls) {}
    void sample(Top&) {}
    void advance(Top&) {}
};

template <class Top>
struct WeightMemory<Top, std::void_t<decltype(std::declval<Top&>().PORT2(m_axi, araddr))>> {
    static constexpr bool exists = true;
    static constexpr uint32_t OKAY = 0, SLVERR = 2, DECERR = 3, INCREMENTING = 1;
    static constexpr uint64_t PAGE = 4096, QUIET_CYCLES = 8;

    struct Burst {
        uint64_t address, due;
        uint32_t left;
    };

    std::string violation;  // first breach of the protocol
    bool failed = false;    // a response was not OKAY
    std::vector<uint8_t> image;
    uint64_t base = 0, cycle = 0, idle_since = 0, spoilt = ~0ull;
    uint32_t latency = 1, pauses = 0;  // cycles; of 256 cycles, how many
    std::deque<Burst> bursts;
    bool offered = false;  // an address that was not accepted yet
    uint32_t offered_address = 0, offered_length = 0;

    void place(const uint8_t* bytes, uint64_t size, uint32_t address) {
        image.assign(bytes, bytes + size);
        base = address;
        failed = false;
        spoilt = ~0ull;
    }

    // The beat at this offset of the image is answered with SLVERR from now on.
    void spoil(uint64_t offset) { spoilt = base + offset; }

    void set_timing(uint32_t latency_cycles, uint32_t pauses_of_256) {
        latency = latency_cycles;
        pauses = pauses_of_256;
    }

    void reset(Top& top) {
        bursts.clear();
        offered = taken = false;
        top.PORT2(m_axi, rvalid) = 0;
    }

    // Nothing was asked for, or is under way, for some time.
    bool quiet() const { return bursts.empty() && !offered && cycle - idle_since > QUIET_CYCLES; }

    uint32_t response(uint64_t address, size_t bytes) const {
        if (address < base || address + bytes > base + image.size()) return DECERR;
        return address <= spoilt && spoilt < address + bytes ? SLVERR : OKAY;
    }

    // Inputs of this cycle.
    template <class Stalls>
    void drive(Top& top, Stalls stalls) {
        top.PORT2(m_axi, arready) = !stalls(pauses);
        const bool waits = top.PORT2(m_axi, rvalid);  // not taken in the cycle before: stays
        if (waits || bursts.empty() || bursts.front().due > cycle || stalls(pauses)) return;
        const Burst& burst = bursts.front();
        auto& port = top.PORT2(m_axi, rdata);
        const uint32_t answer = response(burst.address, sizeof port);
        if (answer == OKAY) std::memcpy(&port, image.data() + (burst.address - base), sizeof port);
        failed = failed || answer != OKAY;
        top.PORT2(m_axi, rresp) = answer;
        top.PORT2(m_axi, rlast) = burst.left == 1;
        top.PORT2(m_axi, rvalid) = 1;
    }

    // Handshakes of this cycle, after everything has settled.
    void sample(Top& top) {
        const bool valid = top.PORT2(m_axi, arvalid);
        const uint32_t address = top.PORT2(m_axi, araddr), length = top.PORT2(m_axi, arlen) + 1u;
        const uint64_t bytes = sizeof(top.PORT2(m_axi, rdata));
        if (offered && (!valid || address != offered_address || length != offered_length))
            breach("an address changed before it was accepted");
        if (valid && !offered) {
            if (top.PORT2(m_axi, arburst) != INCREMENTING || 1ull << top.PORT2(m_axi, arsize) != bytes)
                breach("a burst is not of whole, consecutive beats");
            if (address / PAGE != (address + length * bytes - 1) / PAGE) breach("a burst crosses 4 KiB");
            if (address % bytes) breach("an address is not that of a beat");
        }
        offered = valid && !top.PORT2(m_axi, arready);
        offered_address = address;
        offered_length = length;
        if (valid && !offered) bursts.push_back({address, cycle + latency, length});
        taken = top.PORT2(m_axi, rvalid) && top.PORT2(m_axi, rready);
        if (valid || !bursts.empty()) idle_since = cycle;
    }

    // After the rising edge.
    void advance(Top& top) {
        if (taken) {
            top.PORT2(m_axi, rvalid) = 0;
            bursts.front().address += sizeof(top.PORT2(m_axi, rdata));
            if (!--bursts.front().left) bursts.pop_front();
        }
        cycle++;
    }

   private:
    bool taken = false;

    void breach(const char* what) {
        if (violation.empty()) violation = std::string("the core breaks the AXI4 protocol: ") + what;
    }
};
