# Front door. The work is CMake's (CMakePresets.json); `make help` lists the targets.
.DEFAULT_GOAL := all
B := build/release
NODE_TEST := node --test --test-reporter=spec

.PHONY: all deps run test unit behaviour check asan tsan fuzz bench torture clean help

all: deps-run ## build/llm-gateway and build/provider-sim (optimised, hardened)
	@cmake --preset release >/dev/null && cmake --build $(B) -j$$(nproc)
	@ln -sf release/src/app/llm-gateway build/llm-gateway && ln -sf release/sim/provider-sim build/provider-sim

deps: ## install what building and testing need (asks on a terminal)
	@tools/deps.sh run test
deps-%:
	@tools/deps.sh $*
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile
