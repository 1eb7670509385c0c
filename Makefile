# vxbench. `make help` lists what there is to do; every target does its own set-up.
PYTHON  ?= python3
PROFILE ?= mini
PAPER   ?=
DATA_ROOT ?=
CKPT_ROOT ?=
JOBS    ?=
ARGS    ?=

VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
MINI    := data/mini/manifest.json
# One thread a process: cells run side by side, and small tensors gain nothing from more.
export OMP_NUM_THREADS ?= $(if $(filter paper,$(PROFILE)),,1)
ifeq ($(OMP_NUM_THREADS),)
unexport OMP_NUM_THREADS
endif

# Where real data and checkpoints lie, for everything that composes a config.
ifneq ($(DATA_ROOT),)
export VXBENCH_DATA := $(DATA_ROOT)
endif
ifneq ($(CKPT_ROOT),)
export VXBENCH_CHECKPOINTS := $(CKPT_ROOT)
endif

.DEFAULT_GOAL := help
.PHONY: help install mini test lint format smoke train-mini check-data docs benchmark clean

help: ## this list
	@awk -F ':.*## ' '/^[a-zA-Z0-9_%.-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  variables: PROFILE=$(PROFILE) (mini, smoke, paper), PAPER=fep|step|aosa, DATA_ROOT=, CKPT_ROOT=, JOBS=n, ARGS='hydra overrides', PYTHON=$(PYTHON)"

install: $(READY) ## create .venv and install vxbench, pinned by constraints.txt

$(READY): pyproject.toml constraints.txt $(wildcard requirements/*/pyproject.toml)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else "vxbench needs Python 3.11 or newer, this is %d.%d; say make PYTHON=python3.11" % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt ./requirements/opencv-python ./requirements/opencv-contrib-python -e '.[dev]'
	@touch $@

mini: $(MINI) ## make the mini data set in data/mini

$(MINI): $(READY) $(wildcard vxbench/datasets/mini/*.py)
	$(BIN)/python scripts/make_mini.py --root data/mini
	@touch $@

test: $(READY) ## run the tests, a process a core
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadscope $(ARGS)

lint: $(READY) ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY) ## mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

smoke: $(MINI) ## one model, three methods, a few clips, end to end
	$(BIN)/python scripts/reproduce.py --table 1 --paper fep --profile smoke $(if $(JOBS),--jobs $(JOBS)) 'hydra.sweeper.params.model=r2plus1d' 'hydra.sweeper.params.explainer="gradients,gradcam,fep"' $(ARGS)

reproduce-table%: $(READY) $(if $(filter paper,$(PROFILE)),,$(MINI)) ## table 1 ... 7 of the papers, beside the published numbers
	@$(BIN)/python scripts/reproduce.py --table $* $(if $(PAPER),--paper $(PAPER)) --profile $(PROFILE) $(if $(JOBS),--jobs $(JOBS)) $(ARGS)

train-mini: $(MINI) ## train the mini profile's models again, into vxbench/models/weights
	$(BIN)/python scripts/train.py model=r2plus1d
	$(BIN)/python scripts/train.py model=r2plus1d dataset=ucf101
	$(BIN)/python scripts/train.py model=r2plus1d dataset=epic_object recipe.epochs=40
	$(BIN)/python scripts/train.py model=r2plus1d dataset=epic_action recipe.epochs=30
	$(BIN)/python scripts/train.py model=r2plus1d dataset=kinetics700 recipe.epochs=40
	$(BIN)/python scripts/train.py model=tsm
	$(BIN)/python scripts/train.py model=r3d dataset=ucf101
	$(BIN)/python scripts/train.py model=r3d dataset=kinetics700 recipe.epochs=60
	$(BIN)/python scripts/train.py model=slowfast dataset=kinetics400 recipe.epochs=40
	$(BIN)/python scripts/train.py model=timesformer dataset=kinetics400 recipe.epochs=160 recipe.optimizer.lr=1e-3
	$(BIN)/python scripts/train.py model=vgg16lstm dataset=epic_object recipe.epochs=60 recipe.optimizer.lr=1e-3
	$(BIN)/python scripts/train.py model=vgg16lstm dataset=ucf101_24 recipe.epochs=80 recipe.optimizer.lr=1e-3 model.network.detach=false init=epic_object licence=Apache-2.0

check-data: $(READY) $(if $(filter paper,$(PROFILE)),,$(MINI)) ## which clips are there and can be read: PROFILE=paper DATA_ROOT=...
	@$(BIN)/python scripts/check_data.py --profile $(PROFILE) $(ARGS)

docs: $(READY) ## write docs/choices.md from docs/choices.yaml, conf/ and the code
	$(BIN)/python scripts/docs.py

BENCH ?= explainers models loading
benchmark: $(MINI) ## time explainers, networks and loading: BENCH=models ARGS='--device cuda'
	@for part in $(BENCH); do $(BIN)/python scripts/benchmark.py $$part $(ARGS) || exit; done

clean: ## remove the environment, generated data, results (results/reference stays) and caches
	rm -rf $(VENV) data/mini outputs multirun .pytest_cache .ruff_cache .hypothesis
	find results -mindepth 1 ! -path results/README.md ! -path results/reference ! -path 'results/reference/*' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
