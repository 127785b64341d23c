# Everything runs from here; the commands themselves are in the CLI (sparta-hw --help).

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
SETUP := $(VENV)/.installed
OUT ?= build/digits
CORE ?= digits
SAMPLES ?= 20

COMPILER := $(wildcard sparta_hw/*.py sparta_hw/*/*.py)
TRAINER := $(wildcard quant/sparta_quant/*.py)
GENERATOR := $(wildcard rtl/sparta_rtl/*.py rtl/sparta_rtl/*.v) sparta_hw/config.py sparta_hw/descriptor.py sparta_hw/numerics.py
MEASURE := $(wildcard sim/sparta_sim/*.py sim/sparta_sim/*/*.py sim/sparta_sim/*.cpp sim/sparta_sim/*.h)
CHECKPOINT := quant/sparta_quant/checkpoints/digits.pt

.PHONY: help setup rtl train synth verify prove mutate coverage test check bench bench-area bench-train format clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(SETUP) ## create .venv with everything that the project needs

$(SETUP): pyproject.toml
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet torch==2.13.0
	$(RUN)/python -m pip install --quiet --editable '.[train,rtl,sim,synth,prove,bench,dev]'
	touch $@

rtl: $(OUT)/core.v $(OUT)/cosim.json $(OUT)/estimate.json ## the main job: network to verified core, with a report
	$(RUN)/sparta-hw report $(OUT)

$(OUT)/model.onnx $(OUT)/training.json &: $(SETUP) $(CHECKPOINT) $(TRAINER) $(wildcard sparta_hw/onnx_ops/*.py)
	$(RUN)/sparta-hw export $(CHECKPOINT) --samples $(SAMPLES) -o $(OUT)

$(OUT)/program.bin: $(OUT)/model.onnx $(COMPILER)
	$(RUN)/sparta-hw compile $(OUT)/model.onnx --core $(CORE) -o $(OUT)

$(OUT)/core.v: $(OUT)/program.bin $(GENERATOR)
	$(RUN)/sparta-hw rtl $(OUT)/program.bin -o $(OUT)

$(OUT)/cosim.json: $(OUT)/core.v $(OUT)/training.json $(MEASURE)
	$(RUN)/sparta-hw cosim $(OUT)/program.bin --verilog $(OUT)/core.v --images $(OUT) \
		--model $(OUT)/model.onnx --vectors $(OUT)/vectors/*.npz -o $(OUT)

$(OUT)/estimate.json: $(OUT)/program.bin $(OUT)/training.json $(MEASURE)
	$(RUN)/sparta-hw estimate $(OUT)/program.bin \
		--model $(OUT)/model.onnx --vectors $(OUT)/vectors/*.npz -o $(OUT)

train: $(SETUP) ## train the default network again, into build/train
	$(RUN)/sparta-hw train -o build/train

synth: $(OUT)/cosim.json $(OUT)/estimate.json ## yosys and nextpnr for ECP5-85F, added to the report
	$(RUN)/sparta-hw synth $(OUT)/program.bin -o $(OUT)
	$(RUN)/sparta-hw report $(OUT)

test: $(SETUP) ## all tests
	$(RUN)/python -m pytest -n 2 --dist worksteal

check: $(SETUP) ## lint, format, types and unit tests
	$(RUN)/ruff check
	$(RUN)/ruff format --check
	$(RUN)/mypy
	$(RUN)/python -m pytest -n 2 --dist worksteal -m "not slow"

bench: $(SETUP) ## speed as ratios to limits
	$(RUN)/python -m benchmarks.run

bench-area: $(SETUP) ## area, operations a second and a joule over adders and S; yosys, half an hour
	$(RUN)/python -m benchmarks.area

bench-train: $(SETUP) ## a training step and an inference against spikingjelly and snnTorch
	$(RUN)/python -m benchmarks.train_speed

prove: $(SETUP) ## formal proofs of the core's units
	$(RUN)/sparta-hw prove -o build

verify: $(SETUP) ## every test sample of the digits in hardware, bit for bit
	$(RUN)/sparta-hw evaluate $(CHECKPOINT) digits --rtl 359 -o build/verify

mutate: $(SETUP) ## put faults into the RTL one by one, and see each caught; about half an hour
	$(RUN)/python -m tests.mutation.run -o build

coverage: $(SETUP) ## lines and bits of the core that the tests' runs reach, and why not the others
	$(RUN)/python -m tests.coverage.run -o build

format: $(SETUP) ## reformat the sources
	$(RUN)/ruff check --fix
	$(RUN)/ruff format

clean: ## remove what the targets made, but not .venv
	rm -rf build
