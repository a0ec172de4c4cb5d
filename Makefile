# make demo   train MUNIT on drawn shoes, translate, and say where the pictures are
# make test   the tests; make lint, make types: what CI checks beside them
# make coverage  which lines and branches the tests reach; takes longer
# make faults the list of faults, injected; the score goes to benchmarks/results
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test coverage slow faults lint types format clean

demo: $(READY)
	$(BIN)/forge train munit_small --run demo/run
	$(BIN)/python -m i2i_forge_benchmarks.demo demo

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal --durations=25

coverage: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-report=term:skip-covered

slow: $(READY)
	$(BIN)/python -m pytest -m slow

faults: $(READY)
	$(BIN)/python -m i2i_forge_benchmarks.faults --out benchmarks/results

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $(READY)

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
