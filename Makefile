# Yaosu. `make` alone explains itself.

# An active virtual environment is used as it is; otherwise .venv is made.
VENV ?= $(or $(VIRTUAL_ENV),.venv)
PYTHON ?= python3
ARGS ?=
# A file of tests stays with one worker: its servers and its day in the laboratory are set up once.
WORKERS ?= -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

BIN := $(VENV)/bin
PACKAGES := config drivers pipeline gateway dashboard simulators

export PYTHON
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format bench soak lock clean debian-packages runtime install-units

help:
	@echo 'Yaosu: instruments in, checked and sealed records out.'
	@echo
	@echo 'Two commands show everything:'
	@echo '  make demo      a laboratory of simulated instruments, from the wire to a page in your browser'
	@echo '  make test      lint, types and all tests, against a real MQTT broker, a real InfluxDB and Chromium'
	@echo
	@echo 'For work on it:'
	@echo '  make setup     the virtual environment with everything for development (the others do it when needed)'
	@echo '  make lint      ruff, formatting, mypy --strict, import contracts'
	@echo '  make format    let ruff rewrite the formatting'
	@echo '  make bench     the measurements of benchmarks/'
	@echo '  make soak      the long runs that `make test` leaves out'
	@echo '  make lock      pin and hash the dependencies of pyproject.toml anew (needs uv)'
	@echo '  make install-units YAOSU=/opt/yaosu/bin/yaosu   systemd units, users, folders, udev rules (DESTDIR goes before)'
	@echo '  make clean     remove what was built and cached (not the environment)'
	@echo
	@echo 'ARGS is passed on:    make demo ARGS="--duration 30 --json"    make test ARGS="tests/unit -x"'
	@echo 'Environment in use:   $(VENV)    (another one: make VENV=/path/to/venv ...)'

setup:
	@scripts/set-up dev '$(VENV)'

runtime:
	@scripts/set-up runtime '$(VENV)'

# With --json in ARGS nothing but the JSON object may reach standard output.
demo: runtime
	@'$(BIN)/yaosu' demo $(ARGS)

debian-packages:
	@scripts/debian-packages

test: setup debian-packages lint
	'$(BIN)/python' -m pytest --durations=15 $(WORKERS) $(ARGS)

lint: setup
	'$(BIN)/ruff' check .
	'$(BIN)/ruff' format --check .
	'$(BIN)/mypy'
	'$(BIN)/lint-imports'

format: setup
	'$(BIN)/ruff' format .

bench: setup
	'$(BIN)/python' -m benchmarks $(ARGS)

soak: setup debian-packages
	'$(BIN)/python' -m pytest -m soak --timeout=0 $(ARGS)

# For a gateway in service: the program is installed already (docs/roles/edge-daemon.md).
install-units:
	@scripts/install-systemd '$(or $(YAOSU),$(BIN)/yaosu)' '$(DESTDIR)'

# The indexes are the machine's business (UV_INDEX_URL and the like): no address comes into the files.
UV = $(if $(wildcard $(BIN)/uv),$(BIN)/uv,uv)
LOCK = '$(UV)' pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

lock:
	@command -v '$(UV)' >/dev/null || { echo 'make lock needs uv: $(BIN)/pip install uv' >&2; exit 69; }
	$(LOCK) --extra build --output-file requirements.txt
	$(LOCK) --extra dev --constraint requirements.txt --output-file requirements-dev.txt

clean:
	rm -rf build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(PACKAGES) tests scripts benchmarks -depth -name __pycache__ -exec rm -rf {} + 2>/dev/null || true
