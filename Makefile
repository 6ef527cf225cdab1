# Two commands, each enough on a machine with Python 3.11 and make:
#   make demo   the main job on real photographs, with JAX
#   make test   the whole suite on TensorFlow, JAX and PyTorch
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BACKENDS ?= tensorflow jax torch
TESTS ?= tests

SHELL := /bin/bash

.PHONY: demo test lint clean
.DELETE_ON_ERROR:

demo: .venv/demo/installed
	KERAS_BACKEND=jax .venv/demo/bin/python -m examples.demo

# The backends side by side, one process each; every line says whose it is.
test: .venv/test/installed
	@for backend in $(BACKENDS); do \
		(set -o pipefail; export KERAS_INVOLUTION_TRITON=$(CURDIR)/.venv/triton; \
			KERAS_BACKEND=$$backend PYTHONUNBUFFERED=1 \
			.venv/test/bin/python -m pytest $(TESTS) 2>&1 \
			| sed -u "s/^/$$backend: /") & \
		running="$$running $$!"; \
	done; \
	failed=0; for process in $$running; do wait $$process || failed=1; done; \
	if [ $$failed -ne 0 ]; then echo "Tests failed."; exit 1; fi

lint: .venv/test/installed
	.venv/test/bin/ruff check .
	.venv/test/bin/ruff format --check .
	.venv/test/bin/mypy

.venv/demo/installed: pyproject.toml
	$(PYTHON) -m venv .venv/demo
	.venv/demo/bin/python -m pip install --quiet --editable ".[jax]"
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

clean:
	rm -rf .venv demo build dist
