// A simple dual-port memory: one write port, one read port, read latency one cycle; DEPTH rows of WIDTH bits, in
// SEGMENTS equal parts that can be written alone. Block RAM on an FPGA, but LUTs up to 2 kbit; on an ASIC, put macros
// in its place.
// What a row holds before it is written, or when it is read and written in the same cycle, does not matter.
module sparta_ram #(
    parameter DEPTH = 2,
    parameter WIDTH = 1,
    parameter SEGMENTS = 1
) (
    input clk,
    input [SEGMENTS-1:0] write_en,
    input [$clog2(DEPTH)-1:0] write_addr,
    input [WIDTH-1:0] write_data,
    input read_en,
    input [$clog2(DEPTH)-1:0] read_addr,
    output reg [WIDTH-1:0] read_data
);
    localparam SEGMENT = WIDTH / SEGMENTS;
    (* no_rw_check, ram_style = (DEPTH * WIDTH <= 2048) ? "distributed" : "auto" *) reg [WIDTH-1:0] rows [0:DEPTH-1];
    integer n;
    always @(posedge clk) begin
        for (n = 0; n < SEGMENTS; n = n + 1)
            if (write_en[n]) rows[write_addr][n*SEGMENT +: SEGMENT] <= write_data[n*SEGMENT +: SEGMENT];
        if (read_en) read_data <= rows[read_addr];
    end
endmodule
