# make demo, make test, make lint and make bench set themselves up: they need Python 3.11 (or newer) and pip, nothing else.
PYTHON ?= python3
VENV ?= .venv
# Where torch comes from, if not from pip's own index: https://download.pytorch.org/whl/cpu saves several GB where there is no GPU.
TORCH_INDEX ?=
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

.PHONY: demo test lint bench fuzz clean

demo: $(STAMP)
	$(BIN)/python run_bench.py --methods exp gs mtf-glp fusionnet cf2n --dataset wv3 --protocol quick --source simulated --figures all

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/pytest -n auto --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/pytest tests/bench --benchmark-only --benchmark-columns=median,iqr,rounds

# Damaged files through every reader: CASES of them, half an hour for 10,000; SEED repeats a campaign.
CASES ?= 10000
fuzz: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --cases $(CASES) $(if $(SEED),--seed $(SEED))

# torch first: its pinned CPU build satisfies what the other packages ask for.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
