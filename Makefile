# Needs only Python 3.11 and make. `make` alone lists the targets.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
DEMO   := build/demo
CHROMIUMS := chromium chromium-browser google-chrome google-chrome-stable

export HF_HUB_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false
export RAY_USAGE_STATS_ENABLED = 0
# Modules are compiled as they are used (see .run), also where the shell says to keep nothing.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help setup demo check test browser prometheus format clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/.run: pyproject.toml constraints.txt
	@echo "== setting up $(VENV) (onnxruntime, langgraph; once)"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q --no-compile -c constraints.txt -e ".[mini]" # compiled as it is used
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "== adding torch, transformers, ray and the development tools"
	$(PIP) install -q -c constraints.txt -e ".[local,ray,dev]"
	@# pip compiles what it installs, but not what .run left; a few templates in there are no Python.
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib orchestra graphs workers >/dev/null 2>&1 || true
	@touch $@

setup: $(VENV)/.dev ## make .venv with everything, for development

# The catalog is drawn again when what draws it has changed.
$(DEMO)-catalog/.drawn: examples/demo/make_catalog.py $(wildcard workers/synthetic/*.py) $(VENV)/.run
	@echo "== drawing a catalog of 40 products into $(DEMO)-catalog"
	@rm -rf $(DEMO)-catalog
	$(BIN)/python examples/demo/make_catalog.py --out $(DEMO)-catalog
	@touch $@

demo: $(VENV)/.run $(DEMO)-catalog/.drawn ## enrich a catalog of 40 drawn products with the bundled models
	@rm -rf $(DEMO)
	@echo "== enriching it"
	$(BIN)/orchestra batch $(DEMO)-catalog/products.csv --out $(DEMO) --language auto
	@echo "== how right the category is (the truth is what was drawn)"
	$(BIN)/orchestra eval $(DEMO) --truth $(DEMO)-catalog/truth.csv --field category

check: $(VENV)/.dev ## format, lint, types and the import rule
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

test: $(VENV)/.dev browser prometheus ## every test
	$(BIN)/python -m pytest

# The workbench is tested in a real browser: Debian's, where there is none and this is root.
browser:
	@for name in $(CHROMIUMS); do command -v $$name > /dev/null && exit 0; done; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then \
		echo "== no chromium: the tests in a browser are skipped"; exit 0; fi; \
	echo "== installing chromium for the tests in a browser (once)"; \
	export DEBIAN_FRONTEND=noninteractive; \
	told=$$(apt-get -q update 2>&1 && apt-get -qy install --no-install-recommends chromium 2>&1) \
		|| { echo "$$told" | tail -5; echo "== no chromium: the tests in a browser are skipped"; }

# Dashboard and alerts are tested over a real Prometheus: Debian's, in the same way.
prometheus:
	@command -v prometheus > /dev/null && command -v promtool > /dev/null && exit 0; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then \
		echo "== no prometheus: the tests of dashboard and alerts are skipped"; exit 0; fi; \
	echo "== installing prometheus for the tests of dashboard and alerts (once)"; \
	export DEBIAN_FRONTEND=noninteractive; \
	told=$$(apt-get -q update 2>&1 && apt-get -qy install --no-install-recommends prometheus 2>&1) \
		|| { echo "$$told" | tail -5; echo "== no prometheus: its tests are skipped"; exit 0; }; \
	systemctl disable --now prometheus > /dev/null 2>&1 || true # the package would have it listen

format: $(VENV)/.dev ## format and sort imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what was built, not the environment
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
