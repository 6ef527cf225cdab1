# Two commands, each enough on a machine with Python 3.11 and make:
#   make demo   the main job on real photographs, with JAX
#   make test   the whole suite on TensorFlow, JAX and PyTorch
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BACKENDS ?= tensorflow jax torch
TESTS ?= tests

.PHONY: demo test lint clean
.DELETE_ON_ERROR:

demo: .venv/demo/installed
	KERAS_BACKEND=jax .venv/demo/bin/python -m examples.demo

test: .venv/test/installed
	@failed=""; \
	for backend in $(BACKENDS); do \
		echo "== $$backend"; \
		KERAS_BACKEND=$$backend .venv/test/bin/python -m pytest $(TESTS) \
			|| failed="$$failed $$backend"; \
	done; \
	if [ -n "$$failed" ]; then echo "Tests failed on:$$failed"; exit 1; fi

lint: .venv/test/installed
	.venv/test/bin/ruff check .
	.venv/test/bin/ruff format --check .
	.venv/test/bin/mypy

.venv/demo/installed: pyproject.toml
	$(PYTHON) -m venv .venv/demo
	.venv/demo/bin/python -m pip install --quiet --editable ".[jax]"
	touch $@

# torch first and by itself: what follows is then satisfied by that very build.
.venv/test/installed: pyproject.toml
	$(PYTHON) -m venv .venv/test
	.venv/test/bin/python -m pip install --quiet "torch==2.13.0"
	.venv/test/bin/python -m pip install --quiet --editable \
		".[tensorflow,jax,torch,keras-hub,plots,index,dev]"
	touch $@

clean:
	rm -rf .venv demo build dist
