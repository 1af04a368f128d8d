# The commands of README. Each sets up what it needs: a virtual environment from requirements.lock, made by uv.
# An environment that already holds a vendor's torch: make VENV=/path/to/it run (nothing is installed into it but this
# package itself, without its dependencies).

VENV ?= .venv
PYTHON := $(VENV)/bin/python
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
OWN_VENV := $(filter .venv,$(VENV))
PYTEST := $(PYTHON) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder
READY := $(VENV)/.touchstone-$(if $(OWN_VENV),locked,adopted)

# In the order in which they are locked: each agrees with those before it. Paddle is strictest.
TOGETHER := paddle tensorflow jax megatron
# MindSpore's wheel is built for NumPy 1: it has an environment of its own.
FRAMEWORKS := $(TOGETHER) mindspore
UNKNOWN := $(filter-out $(FRAMEWORKS),$(EXTRAS) $(FRAMEWORK))
ifneq ($(UNKNOWN),)
$(error There is no locks/$(firstword $(UNKNOWN)).lock. Frameworks with a lock of their own: $(FRAMEWORKS))
endif
ifneq ($(and $(EXTRAS),$(if $(OWN_VENV),,$(VENV))),)
$(error Nothing is installed into $(VENV), which is not ours. Leave EXTRAS out, or VENV)
endif
ADDED = $(if $(OWN_VENV),$(1:%=.venv/.touchstone-extra-%))

.PHONY: run test test-all lint types ui bench environment lock clean

run: $(READY) $(call ADDED,$(EXTRAS))  ## one small case, end to end
	$(PYTHON) -m runner task=converge model=bert scale=tiny

test: lint types $(call ADDED,$(TOGETHER))  ## lint, types, tests
	$(PYTEST) -m "not heavy"

test-all: lint types $(call ADDED,$(TOGETHER)) .venv-mindspore/.touchstone-locked  ## the same with the cases that take minutes, and coverage
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

environment: $(if $(FRAMEWORK),.venv-$(FRAMEWORK)/.touchstone-locked,no-framework)  ## one framework's own

.PHONY: no-framework
no-framework:
	@echo "Say which: make environment FRAMEWORK=NAME, one of $(FRAMEWORKS)"; exit 2

COMPILE = $(UV) pip compile -q --universal --generate-hashes --no-emit-index-url --no-header
LOCKED := dev prometheus lora diffusion onnxruntime openvino stablehlo torchao executorch mlperf tuning deepspeed ray sweeps

# A framework that does not agree with requirements.lock is locked alone, for an environment of its own.
lock: $(UV)  ## resolve the dependencies anew
	$(COMPILE) $(LOCKED:%=--extra %) pyproject.toml -o requirements.lock
	@mkdir -p locks; agreed="-c requirements.lock"; for one in $(FRAMEWORKS); do \
	  make="$(COMPILE) --no-annotate --fork-strategy fewest --extra $$one pyproject.toml -o locks/$$one.lock"; \
	  if $$make $$agreed; then agreed="$$agreed -c locks/$$one.lock"; \
	  else echo "$$one is locked for an environment of its own: make environment FRAMEWORK=$$one"; $$make || exit; fi; \
	done

clean:
	rm -rf .venv .venv-* .uv outputs/[0-9]* outputs/mlflow.db* .mypy_cache .ruff_cache .pytest_cache

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install -q uv

.venv/.touchstone-locked: requirements.lock pyproject.toml | $(UV)
	test -x .venv/bin/python || $(UV) venv -q --python '>=3.11' .venv
	$(UV) pip sync -q -p .venv/bin/python --require-hashes requirements.lock
	$(UV) pip install -q -p .venv/bin/python --no-deps -e .
	touch $@

.venv/.touchstone-extra-%: locks/%.lock .venv/.touchstone-locked
	$(UV) pip install -q -p .venv/bin/python --require-hashes -r $< -c requirements.lock || \
	  { echo "$* does not go with the rest of .venv: make environment FRAMEWORK=$*"; exit 1; }
	touch $@

.venv-%/.touchstone-locked: locks/%.lock pyproject.toml | $(UV)
	test -x .venv-$*/bin/python || $(UV) venv -q --python '$(or $(wildcard .venv/bin/python),>=3.11)' .venv-$*
	$(UV) pip sync -q -p .venv-$*/bin/python --require-hashes $<
	$(UV) pip install -q -p .venv-$*/bin/python --no-deps -e .
	touch $@

$(VENV)/.touchstone-adopted: pyproject.toml | $(UV)
	$(UV) pip install -q -p $(PYTHON) --no-deps -e .
	touch $@
