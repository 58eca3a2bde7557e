# The everyday commands; `make` lists them. Everything runs from .venv, which the first command makes.
SHELL := /bin/bash
BIN := .venv/bin
INSTALLED := .venv/.installed-for
# Programs that write generated files; with --check they compare instead, and exit 1 on a difference.
GENERATORS := prometheus.generator grafana.generator docs.generator hypertool.domain hypertool.prompts

.DEFAULT_GOAL := help
.PHONY: help fmt generate check-generated lint test sandbox hooks

help: ## List these commands
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 18

$(INSTALLED): requirements/test.txt pyproject.toml
	./scripts/test.sh --install
	@touch $@

fmt: $(INSTALLED) ## Format every Python file and sort its imports
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

generate: $(INSTALLED) ## Write every generated file again: rules, runbook, dashboards, settings page
	set -e; for generator in $(GENERATORS); do $(BIN)/python -m $$generator; done

check-generated: $(INSTALLED)
	@set -e; for generator in $(GENERATORS); do $(BIN)/python -m $$generator --check; done

lint: check-generated ## Run every linter, and check that generated files are up to date
	$(BIN)/python -m pytest -q tests/lint

test: ## Run all tests, or some: make test T="tests/unit -k gate"
	./scripts/test.sh $(T)

sandbox: ## Install the stack in a throwaway systemd host (root; remove it with: make sandbox DOWN=1)
	./scripts/setup-native-observability.sh --sandbox $(if $(DOWN),--down)

hooks: $(INSTALLED) ## Run the linters before each commit (pre-commit)
	$(BIN)/pre-commit install
