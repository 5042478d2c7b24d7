# Front door. The work is CMake's (CMakePresets.json); `make help` lists the targets.
.DEFAULT_GOAL := all
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
.PHONY: all train ranks deps agents run test unit behaviour compatibility check format tidy layers docs asan tsan fuzz bench clean help
JOBS := $(shell nproc)
T ?=
SECONDS_EACH ?= 20

all: deps-run build/profile/trained ## build/llm-gateway and build/provider-sim (optimised, hardened)
	@cmake --preset release >/dev/null
	@cmake --build build/release -j$(JOBS) --target llm-gateway provider-sim
	@ln -sfn release/src/app/llm-gateway build/llm-gateway
	@ln -sfn release/sim/provider-sim build/provider-sim

# Once in a checkout, and again by `make train`: what the compiler knows of the hot path. Without it the program is the
# same, a little slower.
build/profile/trained:
	@cmake --preset profile >/dev/null
	@cmake --build build/profile -j$(JOBS) --target llm-gateway provider-sim bench_load
	@rm -rf build/profile/counts
	@python3 bench/train.py || echo "train: goes on without a profile" >&2
	@[ ! -e build/release/Makefile ] || cmake --build build/release --target clean
	@touch $@
train: ## measure again which way the branches go (after large changes), then build
	@rm -f build/profile/trained
	@$(MAKE) all

ranks: ## try again to get the tokenizer's rank files (npm), then build
	@rm -f build/*/src/token/ranks.bin
	@$(MAKE) all

deps: ## install what building, running and testing need (asks on a terminal)
	@tools/deps.sh run test
deps-%:
	@tools/deps.sh $*
agents: deps-agents ## install the coding agents that behaviour tests drive (npm, some 800 MB below build/)

run: all ## build and start on 127.0.0.1:8000; without a provider the simulator plays one
	@tools/run.sh

test: deps behaviour unit ## the whole suite
unit: deps ## the C unit tests (release build)
	@cmake --preset release >/dev/null
	@cmake --build build/release -j$(JOBS)
	@ctest --test-dir build/release --output-on-failure -j$(JOBS)
behaviour: deps all ## the binary against the simulator, with the official SDK (T=name for one file)
	@tools/behaviour.sh build/release "$(T)"

check: deps-run deps-check layers format tidy ## format, tidy, layers, sizes, docs, cppcheck
layers:
	@tools/check_layers.py && tools/check_sizes.py && tools/check_traps.py && tools/gen_docs.py --check
compatibility: deps all ## run the matrix of dialects and write docs/COMPATIBILITY.md
	@tools/compatibility.mjs build/release
docs: all ## write docs/config.md, errors.md and metrics.md from their tables
	@tools/gen_docs.py
format: ## fails when clang-format would change a file
	@clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')
tidy:
	@cmake --preset clang >/dev/null
	@tools/tidy.sh build/clang

# The behaviour tests that reach most code run under the sanitizers too; T=name picks others.
SANITIZED := $(if $(T),$(T),@sanitized.txt)
asan: deps ## unit and behaviour tests under AddressSanitizer and UBSan
	@cmake --preset asan >/dev/null && cmake --build build/asan -j$(JOBS)
	@tools/behaviour.sh build/asan "$(SANITIZED)"
	@ctest --test-dir build/asan --output-on-failure -j$(JOBS)
tsan: deps ## unit and behaviour tests under ThreadSanitizer
	@cmake --preset tsan >/dev/null && cmake --build build/tsan -j$(JOBS)
	@tools/behaviour.sh build/tsan "$(SANITIZED)"
	@ctest --test-dir build/tsan --output-on-failure -j$(JOBS) -E '^(chat|dialect|wire)/' # those know no threads
fuzz: deps deps-check ## every fuzz target for SECONDS_EACH (T=name for one)
	@cmake --preset fuzz >/dev/null && cmake --build build/fuzz -j$(JOBS)
	@tools/fuzz.sh build/fuzz $(SECONDS_EACH) "$(T)"

bench: deps-bench all ## ours against a bare relay, nginx and HAProxy; writes bench/RESULTS.md
	@cmake --build build/release -j$(JOBS)
	@python3 bench/run.py $(ARGS)

clean: ## remove build/
	@rm -rf build
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile
