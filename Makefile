# The commands of README. Each sets up what it needs: a virtual environment from requirements.lock, made by uv.
# An environment that already holds a vendor's torch: make VENV=/path/to/it run (nothing is installed into it but this
# package itself, without its dependencies).

VENV ?= .venv
PYTHON := $(VENV)/bin/python
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
OWN_VENV := $(filter .venv,$(VENV))
PYTEST := $(PYTHON) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder
READY := $(VENV)/.touchstone-$(if $(OWN_VENV),locked,adopted)

.PHONY: run test test-all lint types ui bench lock clean

run: $(READY)  ## one small case, end to end
	$(PYTHON) -m runner task=converge model=bert scale=tiny

test: lint types  ## lint, types, tests
	$(PYTEST) -m "not heavy"

test-all: lint types  ## the same with the cases that take minutes, and coverage
	$(PYTEST) --cov=runner --cov=models --cov=hardware --cov-report=term:skip-covered

lint: $(READY)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types: $(READY)
	$(PYTHON) -m mypy

ui: $(READY)  ## results in the browser
	$(PYTHON) -m runner.ui $(UI_OPTIONS)

bench: $(READY)  ## what the engine itself costs
	$(PYTHON) -m benchmarks.overhead
	$(PYTHON) -m benchmarks.startup
	$(PYTHON) -m benchmarks.sweep
	$(PYTHON) -m benchmarks.footprint
	$(PYTHON) -m benchmarks.arrivals
	$(PYTHON) -m benchmarks.serving

lock: $(UV)  ## resolve the dependencies anew
	$(UV) pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --extra dev --extra prometheus --extra lora --extra diffusion --extra onnxruntime --extra openvino --extra stablehlo --extra torchao --extra executorch --extra mlperf --extra tuning --extra deepspeed --extra ray --extra sweeps pyproject.toml -o requirements.lock

clean:
	rm -rf .venv .uv outputs/[0-9]* outputs/mlflow.db* .mypy_cache .ruff_cache .pytest_cache

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install -q uv

.venv/.touchstone-locked: requirements.lock pyproject.toml | $(UV)
	test -x .venv/bin/python || $(UV) venv -q --python '>=3.11' .venv
	$(UV) pip sync -q -p .venv/bin/python --require-hashes requirements.lock
	$(UV) pip install -q -p .venv/bin/python --no-deps -e .
	touch $@

$(VENV)/.touchstone-adopted: pyproject.toml | $(UV)
	$(UV) pip install -q -p $(PYTHON) --no-deps -e .
	touch $@
