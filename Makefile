# `make` alone lists the targets.
SHELL := /bin/sh
# A Python that is named (make test PYTHON=python3.13) has an environment of its own.
VENV := .venv$(if $(filter command line,$(origin PYTHON)),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TOOLS := .venv-tools
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
JOBS ?= $(shell nproc)
LANE = $(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal --lane
# Tests start hundreds of interpreters: each would compile the programs again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install demo test test-core test-programs test-guides test-faults test-hostile fuzz check lint types imports house house-walk house-check servers bench-floor bench-truth bench-truth-full bench-agent bench-install bench-collector bench-outages bench-load bench-accuracy simulate-floor simulate-lines schema lock sbom clean test-docs

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "  make %-16s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml lab/pyproject.toml requirements.txt
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Plancher needs Python 3.11 or newer, and $(or $(PYTHON),what is on the PATH) is not." \
		"On Debian or Ubuntu: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) lacks its venv module. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing Plancher into $(VENV) (the first time from the package index, about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@# Third parties by their hashes; a folder has none, so ours come after them.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . --editable ./lab || { \
		echo "The packages could not be installed: is the package index reachable from here?" >&2; exit 1; }
	@touch $@

install: $(STAMP)  ## create the virtual environment and install everything into it

demo: $(STAMP)  ## four emulated sites, measured, on a page: no root, Ctrl-C ends it
	@exec $(BIN)/plancher-lab demo

test: test-core test-programs test-guides  ## all tests, lane by lane, on all cores (JOBS=: on so many)

test-core: $(STAMP)  ## what decides by values alone, without a socket or a process: 15 seconds
	$(LANE) core

test-programs: $(STAMP) servers  ## sockets, processes, files, real servers, kernel namespaces
	$(LANE) programs

test-guides: $(STAMP) servers  ## the documentation's commands, as they stand there
	$(LANE) guides

test-docs: $(STAMP)  ## the installation guides in fresh Debian systems, as root with debootstrap: 2 minutes
	@$(BIN)/python -m tests.guides

fuzz: $(STAMP)  ## every decoder against inputs nobody meant, for SECONDS=60 in all (SEED=: as one was printed)
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

test-faults: $(STAMP) servers  ## kills, power cuts and outages, until the account closes: 15 minutes (SEED=n: the same again, FULL=1: bit errors in journal and ledger, too)
	@$(BIN)/python -m lab.faults $(if $(SEED),--seed $(SEED)) $(OPTIONS)
	@$(if $(FULL),FULL=1 $(BIN)/python -m pytest -q -s tests/outbox/journal/test_salvage.py tests/collector/ledger/admin/test_contents.py -k "turns_over or is_named")

test-hostile: $(STAMP) servers  ## floods, starving and forged sources, beside good sites: 5 minutes (SEED=n: the same again)
	@$(BIN)/python -m lab.hostile $(if $(SEED),--seed $(SEED)) $(OPTIONS)

servers: $(STAMP)  ## the servers that tests use: install them (root on Debian) or say what is missing
	@$(BIN)/python -m tests.servers

check: lint types imports house-check  ## lint, types, the import rule and the house rules

lint: $(STAMP)  ## ruff: style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy

imports: $(STAMP)  ## the import rule of the packages
	$(BIN)/lint-imports

house: $(STAMP)  ## figures of rooms, names and sentences beside those of an older revision (BASE=REV)
	@$(BIN)/python -m tests.house.figures --base $(or $(BASE),312fabb)

house-walk: $(STAMP)  ## the files that one measurement passes, from the probe to the page (BASE=REV: beside that)
	@$(BIN)/python -m tests.house.walk $(if $(BASE),--base $(BASE))

house-check: $(STAMP)  ## the house rules: unique class names, docstrings, commit subjects
	$(BIN)/python -m tests.house.checks

bench-floor: $(STAMP)  ## floor verdicts over emulated lines, right and wrong counted
	$(BIN)/python -m lab.bench.floor

bench-truth: $(STAMP)  ## floor verdicts on kernel links of many shapes, a seeded quarter (SEED=, RUNS=, SHAPE=): 45 minutes
	$(BIN)/python -m lab.bench.truth $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS)) $(if $(SHAPE),--shape '$(SHAPE)')

bench-truth-full: $(STAMP)  ## the same of every shape: two hours
	$(BIN)/python -m lab.bench.truth --full $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS))

bench-agent: $(STAMP)  ## what the resident agent weighs, all probes on, over TLS
	$(BIN)/python -m lab.bench.agent

bench-install: $(STAMP)  ## the disk space of an agent's installation, with scapy and cryptography apart
	$(BIN)/python -m lab.bench.install

bench-collector: $(STAMP)  ## measurements a second and the metrics page of 6,000 sites, beside the obvious way
	$(BIN)/python -m lab.bench.collector

bench-outages: $(STAMP)  ## outages made in network namespaces, as the agent reports them, beside the truth, as root (INTERVAL=1: quick)
	$(BIN)/python -m lab.bench.outages $(if $(INTERVAL),--interval $(INTERVAL))

bench-load: $(STAMP)  ## loads to 1 Gbit/s and what they cost beside iperf3, as root with iperf3 and ethtool
	$(BIN)/python -m lab.bench.load

bench-accuracy: $(STAMP)  ## figures beside the truth and beside other tools, as root (FULL=1: long, WRITE=1: into the documents)
	$(BIN)/python -m lab.bench.accuracy $(if $(FULL),--full) $(if $(WRITE),--write) $(OPTIONS)

simulate-floor: $(STAMP)  ## false condemnations of 6,000 sites, and how soon a bad line is condemned
	$(BIN)/python -m lab.simulate.condemnation

simulate-lines: $(STAMP)  ## error rates of floor verdicts on lines whose path or rate changes (RUNS=4 each, SEED=1, RATES=file.json)
	$(BIN)/python -m tests.agent.probes.floor.error_rates --runs $(or $(RUNS),4) --seed $(or $(SEED),1) $(if $(RATES),--rates $(RATES))

schema: $(STAMP)  ## write docs/measure.schema.json, the schema of `measure --json`, from the records
	$(BIN)/python -c 'from agent.report import document; print(document.schema_text(), end="")' > docs/measure.schema.json

lock: $(STAMP) $(TOOLS)  ## write constraints.txt and, with hashes, requirements.txt from what is installed
	$(BIN)/python -m pip freeze --exclude-editable --all --exclude pip > constraints.txt
	$(TOOLS)/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-annotate --no-header \
		--no-emit-find-links --no-emit-index-url --output-file requirements.txt constraints.txt

sbom: $(STAMP) $(TOOLS)  ## write sbom.json: the software bill of materials of what is installed (CycloneDX)
	$(TOOLS)/bin/cyclonedx-py environment --output-reproducible --output-file sbom.json $(BIN)/python

$(TOOLS):
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check pip-tools cyclonedx-bom

clean:  ## remove the virtual environment and all caches; what was measured (var/) stays
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info build lab/*.egg-info lab/build
