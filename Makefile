# vxbench. `make help` lists what there is to do; every target does its own set-up.
PYTHON  ?= python3
PROFILE ?= mini
PAPER   ?=
DATA_ROOT ?=
CKPT_ROOT ?=
JOBS    ?=
BANDS   ?=
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

# Sweeps of small models: a job a core.
LAUNCH  := $(if $(filter paper,$(PROFILE)),,hydra/launcher=joblib hydra.launcher.n_jobs=$(or $(JOBS),$(shell nproc 2>/dev/null || echo 2)))

# Where real data and checkpoints lie, for everything that composes a config.
ifneq ($(DATA_ROOT),)
export VXBENCH_DATA := $(DATA_ROOT)
endif
ifneq ($(CKPT_ROOT),)
export VXBENCH_CHECKPOINTS := $(CKPT_ROOT)
endif

# A variable that nothing here reads is a misspelt one, or goes to the programs.
READ := PYTHON PROFILE PAPER DATA_ROOT CKPT_ROOT JOBS BANDS ARGS BENCH
PASSED_ON := OMP_NUM_THREADS VXBENCH_% CUDA_% HYDRA_% SHELL MAKEFLAGS
GIVEN := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
$(foreach name,$(filter-out $(READ) $(PASSED_ON),$(GIVEN)),$(error there is no variable $(name); there are $(READ)))
ifneq ($(JOBS),)
$(if $(shell printf '%s' '$(JOBS)' | grep -Ex '[1-9][0-9]*'),,$(error JOBS=$(JOBS) is no number of jobs; it is 1 or more))
endif

.DEFAULT_GOAL := help
.PHONY: help install mini test test-quick lint format smoke reproduce-all plan-all sweep-fep select-fep figures report reference train-mini check-data docs benchmark clean

help: ## this list
	@awk -F ':.*## ' '/^[a-zA-Z0-9_%.-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  variables: PROFILE=$(PROFILE) (mini, smoke, paper), PAPER=fep|step|aosa, DATA_ROOT=, CKPT_ROOT=, JOBS=n, BANDS=file, ARGS='hydra overrides', PYTHON=$(PYTHON)"

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

# Scopes as conftest.py orders them: the slow ones first.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadscope --no-loadscope-reorder

test: $(MINI) ## run the tests, a process a core
	$(PYTEST) $(ARGS)

test-quick: $(READY) ## the same without those marked slow
	$(PYTEST) -m "not slow" $(ARGS)

lint: $(READY) ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY) ## mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The mini data, or for PROFILE=paper the real ones, which nothing here makes.
DATA := $(READY) $(if $(filter paper,$(PROFILE)),,$(MINI))
REPRODUCE = $(BIN)/python scripts/reproduce.py $(if $(PAPER),--paper $(PAPER)) --profile $(PROFILE) $(if $(JOBS),--jobs $(JOBS)) $(if $(BANDS),--bands $(BANDS))

smoke: $(MINI) ## a table, a figure and the report of a few clips, end to end, in results/smoke
	@rm -rf results/smoke/tables results/smoke/figures results/smoke/report
	VXBENCH_RESULTS=results/smoke $(BIN)/python scripts/reproduce.py --table 1 --paper fep --profile smoke $(if $(JOBS),--jobs $(JOBS)) 'hydra.sweeper.params.model=r2plus1d' 'hydra.sweeper.params.explainer="gradients,gradcam,fep"' $(ARGS)
	VXBENCH_RESULTS=results/smoke $(BIN)/python scripts/figure.py fep_4 profile=smoke
	$(BIN)/python scripts/report.py --results results/smoke

reproduce-table%: $(DATA) ## table 1 ... 7 of the papers, beside the published numbers: PAPER=fep|step|aosa
	@$(REPRODUCE) --table $* $(ARGS)

reproduce-all: $(DATA) ## all 14 tables; results/tables/index.md lists them
	@$(REPRODUCE) $(ARGS)

plan-table%: $(DATA) ## what table 1 ... 7 would take, and all that is missing for it: PROFILE=paper DATA_ROOT=...
	@$(BIN)/python scripts/plan.py --table $* $(if $(PAPER),--paper $(PAPER)) --profile $(PROFILE) $(ARGS)

plan-all: $(DATA) ## the same of all tables together
	@$(BIN)/python scripts/plan.py $(if $(PAPER),--paper $(PAPER)) --profile $(PROFILE) $(ARGS)

sweep-fep: $(DATA) ## F-EP's Fig. 5: STC over its shares of low and high frequencies
	@$(BIN)/python scripts/run.py +sweep=fep_bands profile=$(PROFILE) $(LAUNCH) $(ARGS)

select-fep: $(DATA) ## choose F-EP's shares on training clips; BANDS=results/selected/fep.yaml then gives them to tables
	@$(BIN)/python scripts/select_fep.py profile=$(PROFILE) $(LAUNCH) $(ARGS)

figures: $(DATA) ## the figures of the papers, in results/figures
	@$(BIN)/python scripts/figure.py profile=$(PROFILE) $(ARGS)

report: $(READY) ## one page of all that is in results/: results/report/index.html
	@$(BIN)/python scripts/report.py $(ARGS)

reference: $(READY) ## copy the tables and figures of a clean run to results/reference
	@$(BIN)/python scripts/reference.py --profile $(PROFILE) $(ARGS)

# In this order, as some start from the weights of one before. VGG16LSTM learns EPIC-Action in four stages, the last of which ships.
EXPERIMENTS := mini_r2plus1d mini_r2plus1d_ucf101 mini_r2plus1d_epic_object mini_r2plus1d_epic_action mini_r2plus1d_kinetics700 \
	mini_tsm mini_r3d_ucf101 mini_r3d_kinetics700 mini_slowfast_kinetics400 mini_timesformer_kinetics400 \
	mini_vgg16lstm_epic_object mini_vgg16lstm_ucf101_24 mini_vgg16lstm_epic_action_square mini_vgg16lstm_epic_action_wide \
	mini_vgg16lstm_epic_action_sideways mini_vgg16lstm_epic_action
MINI_LARGE := data/mini_large/manifest.json

train-mini: $(MINI) $(MINI_LARGE) ## train the mini profile's models again, into vxbench/models/weights
	@for name in $(EXPERIMENTS); do $(BIN)/python scripts/train.py +experiment=$$name $(ARGS) || exit; done

# EPIC-Action with four times as many training clips, for VGG16LSTM.
$(MINI_LARGE): $(READY) $(wildcard vxbench/datasets/mini/*.py)
	$(BIN)/python scripts/make_mini.py --root data/mini_large --only epic55 --train-per-class 240
	@touch $@

check-data: $(READY) $(if $(filter paper,$(PROFILE)),,$(MINI)) ## which clips are there and can be read: PROFILE=paper DATA_ROOT=...
	@$(BIN)/python scripts/check_data.py --profile $(PROFILE) $(ARGS)

docs: $(READY) ## write docs/choices.md from docs/choices.yaml, conf/ and the code, and the tables on the weights
	$(BIN)/python scripts/docs.py

BENCH ?= explainers models loading
benchmark: $(MINI) ## time explainers, networks and loading: BENCH=models ARGS='--device cuda'
	@for part in $(BENCH); do $(BIN)/python scripts/benchmark.py $$part $(ARGS) || exit; done

clean: ## remove the environment, generated data, results (results/reference stays) and caches
	rm -rf $(VENV) data/mini data/mini_large outputs multirun .pytest_cache .ruff_cache .hypothesis
	find results -mindepth 1 ! -path results/README.md ! -path results/reference ! -path 'results/reference/*' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
