# `make help` lists the commands. Each is enough on a machine with Python 3.11 and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BACKENDS ?= tensorflow jax torch
TESTS ?=

SHELL := /bin/bash
TIER = KERAS_INVOLUTION_TRITON=$(CURDIR)/.venv/triton .venv/test/bin/python -m tests.tiers
# `AGAIN=--again` gives tests that failed a second run by themselves.
AGAIN ?=
# `COVERAGE=--coverage` measures the branch coverage of the package.
COVERAGE ?=
CHOSEN = --backends $(BACKENDS) $(AGAIN) $(COVERAGE) $(if $(TESTS),--tests $(TESTS))

.PHONY: help demo test test-quick test-rest test-all lint docs notebooks clean
.DELETE_ON_ERROR:

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

demo: .venv/demo/installed  ## train on photos, classify others, compare dolphins; writes demo/report.html
	KERAS_BACKEND=jax .venv/demo/bin/python -m examples.demo

test: .venv/test/installed  ## what must never break, on three backends
	$(TIER) test $(CHOSEN)

test-quick: .venv/test/installed  ## one backend, no processes
	$(TIER) quick --backends $(firstword $(filter torch,$(BACKENDS)) $(BACKENDS)) \
		$(if $(TESTS),--tests $(TESTS))

test-rest: .venv/test/installed  ## what `make test` leaves out
	$(TIER) rest $(CHOSEN)

test-all: .venv/test/installed  ## everything
	$(TIER) all $(CHOSEN)

lint: .venv/test/installed  ## ruff, spelling and types
	.venv/test/bin/ruff check .
	.venv/test/bin/ruff format --check .
	.venv/test/bin/codespell -D - -D docs/words.txt
	.venv/test/bin/mypy

docs: .venv/test/installed  ## the documentation, to docs/_build/html; warnings are errors
	KERAS_BACKEND=torch .venv/test/bin/python docs/write_reference.py
	KERAS_BACKEND=torch .venv/test/bin/python -m sphinx -W --keep-going -q docs docs/_build/html

notebooks: .venv/test/installed  ## the notebooks of the guides, executed, and the figures
	KERAS_BACKEND=torch .venv/test/bin/python docs/write_figures.py
	KERAS_BACKEND=torch .venv/test/bin/python docs/write_notebooks.py

.venv/demo/installed: pyproject.toml
	$(PYTHON) -m venv .venv/demo
	.venv/demo/bin/python -m pip install --quiet --editable ".[jax,whale-id]"
	touch $@

# torch first and by itself: what follows is then satisfied by that very build.
# Triton in a folder of its own, for the one process that tests it in its interpreter:
# TensorFlow aborts in a process that has loaded it.
.venv/test/installed: pyproject.toml
	$(PYTHON) -m venv .venv/test
	.venv/test/bin/python -m pip install --quiet "torch==2.13.0"
	.venv/test/bin/python -m pip install --quiet --editable \
		".[tensorflow,jax,torch,keras-hub,keras-cv,export,dev]"
	.venv/test/bin/python -m pip install --quiet --no-deps --target .venv/triton \
		"triton>=3.3"
	touch $@

clean:  ## environments and what was built
	rm -rf .venv demo build dist docs/_build
