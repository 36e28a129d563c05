# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EDITABLE := --config-settings editable_mode=strict

.PHONY: demo test lint types bench rivals fuzz chaos develop clean

demo: $(VENV)/.plain ## sweep a synthetic archive with the demonstration bundle into demo/
	$(PIP) install --no-deps .
	rm -rf demo/run
	$(BIN)/cxrsweep demo -o demo

test: lint types ## lint, type-check and run every test
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile.gpu

types: develop
	$(BIN)/mypy -p cxrsweep.engine -p cxrsweep.export -p cxrsweep.bench
	$(BIN)/mypy scripts

bench: develop ## each stage, DICOM by syntax and whole sweeps; ARCHIVE=folder for your own files
	$(BIN)/python -m pytest bench/bench_*.py --benchmark-autosave --benchmark-sort=fullname \
		--benchmark-columns=median,iqr,min,max,rounds $(if $(ARCHIVE),--archive $(ARCHIVE))

rivals: develop ## the sweep beside its limits and its rivals; ARCHIVE=folder for your own files
	$(BIN)/cxrsweep bench rivals export/demo/bundle $(ARCHIVE)

fuzz: develop ## sweep 20,000 damaged files; COUNT=2000 for fewer
	$(BIN)/cxrsweep bench fuzz --count $(or $(COUNT),20000) -o fuzz

chaos: develop ## kill workers and commands at random moments; ROUNDS=20 for more
	$(BIN)/python -m pytest tests/engine/supervision/test_chaos.py --chaos-rounds $(or $(ROUNDS),5)

develop: $(VENV)/.all
	$(PIP) install --no-deps $(EDITABLE) -e .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.plain: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --constraint constraints.txt .
	touch $@

$(VENV)/.all: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --constraint constraints.txt torch setuptools
	$(PIP) install --constraint constraints.txt $(EDITABLE) -e '.[dev]'
	touch $@ $(VENV)/.plain

clean:
	rm -rf $(VENV) build demo *.egg-info
