# Two commands are all a newcomer needs: `make demo` and `make test`. Both fetch libtorch first, once.
# After that plain `cargo build`, `cargo test` and `cargo run` work too, with no environment variable.

.DEFAULT_GOAL := help
.PHONY: help libtorch demo data docs test lint fuzz bench controllers papers gpu-check python program wheel test-rust test-python

# Cargo shares out its own jobs; those of `make -j` it could not reach.
CARGO ?= env -u MAKEFLAGS cargo
NO_TORCH := --no-default-features
# The program without libtorch, as the wheel carries it: chosen together with the Python package, so that all that both need is
# compiled once, with the same features.
PROGRAM := --package qgd --package qgd-python $(NO_TORCH) --features qgd/cli
SECONDS_EACH ?= 60
# Where the data of the papers lie, and how much of them is run.
DATA ?= data
QUICK ?= --quick
# The Python package: where it is installed, and how it is built. `make wheel PROFILE=release` builds what is shipped.
VENV ?= .venv
PROFILE ?= dev
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
BUILT := $(TARGET)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
EXAMPLES := $(basename $(notdir $(wildcard examples/*.rs)))

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

libtorch: ## Fetch libtorch into .libtorch (does nothing when it is there, or when LIBTORCH is set)
	@.ci/libtorch

demo: libtorch ## Train one net on real digits from two hopeless learning rates: alone, and wrapped
	@echo "Building qgd (the first time about four minutes on two cores) ..."
	@$(CARGO) build --profile demo
	@$(CARGO) run --quiet --profile demo -- demo

data: libtorch ## Say where the data of the tasks are published; `cargo run -- data --fetch` fetches them
	@$(CARGO) run --quiet -- data

python: ## Build the Python package and install it into .venv, with PyTorch (PROFILE=release for a fast one)
	@.ci/venv $(VENV)
	@$(MAKE) --no-print-directory wheel
	@PYTHONPATH= $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps \
	  $(TARGET)/wheels/qgd-*.whl
	@echo "The package is installed: $(VENV)/bin/python, $(VENV)/bin/qgd"

program:
	$(CARGO) build --profile $(PROFILE) $(PROGRAM) --bin qgd

# The wheel carries the program too, as far as it needs no libtorch.
wheel: program
	@mkdir -p python/qgd.data/scripts
	@cp $(BUILT)/qgd python/qgd.data/scripts/
	@rm -f $(TARGET)/wheels/qgd-*.whl
	@MATURIN=$(VENV)/bin/maturin; [ -x $$MATURIN ] || MATURIN=maturin; \
	  $$MATURIN build --quiet --profile $(PROFILE) --manifest-path python/Cargo.toml --out $(TARGET)/wheels

test: test-rust test-python ## Run every test and every example, with libtorch and without (-j2: both languages at once)

test-rust: libtorch
	$(CARGO) test
	@set -e; for example in $(EXAMPLES); do echo "== example $$example"; $(CARGO) run --quiet --example $$example; done
	$(CARGO) test --package qgd-fuzz
	$(CARGO) test $(PROGRAM) --test cli

# The tests see the package that is installed, not its source: they run in their own folder. It is built before Rust's tests
# begin, because its program, which has no libtorch, stands for a while where they have theirs. One thread: the nets are small,
# and threads that wait for each other take the processors from Rust's tests.
ifneq ($(wildcard $(VENV)),)
test-rust test-python: python
test-python:
	cd python/tests && PYTHONPATH= OMP_NUM_THREADS=1 $(abspath $(VENV))/bin/pytest -q
else
test-python:
	@echo "the Python package is not tested: \`make python\` makes $(VENV)"
endif

lint: libtorch ## Formatting, clippy and rustdoc, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --all-targets $(NO_TORCH) --features cli -- -D warnings
	$(CARGO) clippy --all-targets $(NO_TORCH) -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --all-features check licenses bans sources; \
	 else echo "cargo-deny is not installed: licences and sources are not checked"; fi
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps $(NO_TORCH)

# Not --quiet: that hides the warnings that --strict counts.
docs: ## Build the book of docs/ into target/book; broken links are errors (needs mkdocs, from pip)
	python3 -m mkdocs build --strict --config-file docs/book/mkdocs.yml

fuzz: libtorch ## Let libFuzzer search for inputs that break something, SECONDS_EACH=60 for each kind (needs cargo-fuzz)
	@fuzz/search $(SECONDS_EACH)

bench: libtorch ## Measure what a decision, a controlled step, an ask of the tuner and a trial cost
	$(CARGO) bench --bench '*'

papers: libtorch ## Run the experiments of the five source papers again, scaled down, into docs/papers (minutes each; goes on after a kill)
	@echo "Two to four minutes each on two cores; QUICK= runs them whole, which takes hours."
	@set -e; for paper in hu vashishtha mohamed hyperq gardner; do \
	  $(CARGO) run --quiet --release -- reproduce $$paper $(QUICK) --seeds 2 --data-dir $(DATA) --out docs/papers; done

controllers: ## Train the controller that ships anew, with the measured tables of TABLES=DIR, and compare the bytes
	@controllers/make "$(TABLES)"

gpu-check: ## Run the tests and benches that need a GPU, in Rust and Python; says so where there is none
	@VENV=$(VENV) .ci/gpu-check
