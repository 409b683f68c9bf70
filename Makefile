.PHONY: run test bench build-wheel fmt lint
run: ; scripts/run
test: ; scripts/test
bench: ; bench/run
build-wheel: ; .venv/bin/python -m hatchling build
fmt: ; .venv/bin/ruff format .
lint: ; scripts/check
