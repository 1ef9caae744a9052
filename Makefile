# Commands for people. Everything they need is installed into .venv by the first one.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAGE ?= dev
PARAMETERS ?=
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --generate-hashes --upgrade
LOCKS := requirements.txt requirements-dev.txt
VERSIONS ?= 3.12 3.13
export PORT AWS_PORT FULL

.PHONY: install run tend test test-versions check audit package deploy destroy e2e faults load sip browser bench
.PHONY: fleet-figures format lock clean

install: $(VENV)/.installed

$(VENV)/.installed: $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is required: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes $(LOCKS:%=-r %)
	@touch $@

run: install
	@$(BIN)/python -m ops.run

# One sweep over the phones that are due, on what `make run` started.
tend: install
	@./phones --local tend

test: install
	$(BIN)/python -m pytest --numprocesses auto

# The tests on the other supported Pythons, those of them that this machine has.
test-versions:
	@for version in $(VERSIONS); do \
		for python in python$$version $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python none; do \
			$$python -c '' 2>/dev/null && break; \
		done; \
		if [ $$python = none ]; then echo "Python $$version is not on this machine: not tested"; continue; fi; \
		$(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$version || exit 1; \
	done

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pip check
	$(BIN)/python -m pytest --quiet tests/unit/test_requirements.py

# Asks PyPI for known vulnerabilities of everything that is pinned. A mirror that has no advisories is an error.
audit: install
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		$(patsubst %,-r %,$(wildcard requirements*.txt))

# The artefact of a stage: build/STAGE/sam.json and build/STAGE/deployment.zip.
package: install
	$(BIN)/python -m ops.packaging --stage $(STAGE) --out build/$(STAGE)

# The stack sip-credentials-STAGE on the AWS account of the environment: make deploy STAGE=dev PARAMETERS="Name=Value"
deploy: package
	@$(BIN)/python -m ops.deploying deploy --stage $(STAGE) --folder build/$(STAGE) $(PARAMETERS:%=--parameter %)

destroy: install
	@$(BIN)/python -m ops.deploying destroy --stage $(STAGE)

# The artefact, deployed on a local AWS and called from outside.
e2e: install
	$(BIN)/python -m pytest tests/e2e

# What can go wrong between the SDK and AWS, call by call; workers that are killed at random while a fifth of all calls
# fail; the service beside a model of it, request by request; whatever strangers can send; a load. FULL=1 takes longer and
# finds more, CHAOS_SEED=n repeats a run. The figures of all come last.
faults: install
	@rm -rf build/faults
	$(BIN)/python -m pytest tests/faults/test_matrix.py --numprocesses 8
	$(BIN)/python -m pytest tests/faults --ignore tests/faults/test_matrix.py
	$(BIN)/python -m pytest tests/hostile
	$(BIN)/python -m pytest tests/load
	@$(BIN)/python -m tests.support.figures

# A minute at the rate that the API is limited to, then ever faster, until the local server holds it no more.
load: export FULL = 1
load: install
	$(BIN)/python -m pytest tests/load

# Kamailio and real SIP clients, which are installed if that is allowed. FULL=1 is with 1,000 simulated phones.
sip: install
	@$(BIN)/python -m tests.support.debian sip
	PHONES=$(if $(FULL),1000,40) $(BIN)/python -m pytest tests/sip

# Figures against what people would use instead, into build/bench and docs/performance.md: some ten minutes, for which
# the machine should have nothing else to do. QUICK=1 measures a little of everything, and leaves the document alone.
bench: install
	@$(BIN)/python -m bench $(if $(QUICK),--quick)

# The API reference in Chromium, which is installed if that is allowed.
browser: install
	@$(BIN)/python -m tests.support.debian browser
	$(BIN)/python -m pytest tests/browser

# How fast operators' commands are with 10,000 and 100,000 phones, in some ten minutes, into build/bench/operators.json.
# The recorder of secrets, which would slow them down, looks at the same commands in `make test`.
fleet-figures: export FULL = 1
fleet-figures: install
	$(BIN)/python -m pytest -p no:secrecy tests/unit/test_operator_figures.py

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Pins the newest allowed versions of everything that pyproject.toml names, for all supported Pythons, by their hashes.
lock: install
	$(LOCK) pyproject.toml --output-file requirements.txt
	$(LOCK) --group dev --constraint requirements.txt --output-file requirements-dev.txt
	$(LOCK) --group awscli --output-file requirements-awscli.txt
	$(LOCK) --group ministack --output-file requirements-ministack.txt

clean:
	rm -rf .venv .venv-* .import_linter_cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build
