# Each target makes the venv and the build it needs, and prints what it does. `make` alone lists them.

PYTHON ?= python3
VENV ?= .venv
CC ?= cc
PYTEST_ARGS ?=
BENCH_ARGS ?=
# Processes that run the tests: one per core. `loadgroup` keeps the tests of one `xdist_group` in one process.
PARALLEL ?= -n logical --maxprocesses 8 --dist loadgroup

BIN := $(VENV)/bin
PY := $(BIN)/python
INSTALLED := $(VENV)/.installed
SAN := build/sanitize
# picows 2.3.1 has the import name of ours, hence a venv of its own; one folder for each version of Python.
BENCH_VENV ?= $(VENV)-bench
BENCH_OUT = build/bench/$(shell $(PY) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# One file after the other is as good: make sanitize SAN_TESTS=tests/picows/test_parser.py
SAN_TESTS ?= tests/picows

# Free-threaded CPython: another one with FT_PREFIX=/usr/local, other tests with FT_TESTS="tests/picows/test_x.py".
FT_VENV ?= .venv-freethreaded
FT_PREFIX ?= $(abspath $(FT_VENV))/cpython
FT_TESTS ?= tests/freethreaded tests/picows -m "not slow and not rss"
FT := build/freethreaded

# make fuzz FUZZ_SECONDS=60 FUZZ_TARGETS="parser url"
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?=
FUZZ := build/fuzz

PACKAGES = $(patsubst %/__init__.py,%,$(wildcard picows/__init__.py connectors/__init__.py strategies/__init__.py))
STUBBED = $(subst /,.,$(patsubst %/__init__,%,$(basename $(shell find $(PACKAGES) -name '*.pyi' 2>/dev/null | sort))))
C_TESTS = $(wildcard tests/c/test_*.c)
BENCHES = $(wildcard tests/bench/bench_*.py)
# The tools find each other on PATH: cython-lint starts pycodestyle.
IN_VENV = PATH="$(abspath $(BIN)):$$PATH"

.DEFAULT_GOAL := help
.PHONY: help venv build run echo check format test test-c sanitize freethreaded fuzz bench bench-venv bench-instructions bench-more bench-table \
    bench-listener-ours bench-listener-theirs wheel clean distclean

help:  ## list the targets
	@echo "PYTHON=$(PYTHON) VENV=$(VENV); targets:"
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed 's/:.*  ## /\t/' | expand -t 14 | sed 's/^/  /'

# The .pth line: Cython looks for .pxd files along sys.path, and does not see the import hook of an editable install.
$(INSTALLED): pyproject.toml
	@echo "== venv: $(VENV) from $(PYTHON), with the tools of the extra 'dev'"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0])'
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' > $(VENV)/build-requires.txt
	$(PY) -m pip install --quiet --upgrade -r $(VENV)/build-requires.txt
	PICOWS_SKIP_EXT=1 $(PY) -m pip install --quiet --no-build-isolation --editable '.[dev]'
	@$(PY) -c 'import os, sysconfig; open(sysconfig.get_path("purelib") + "/picows-source-tree.pth", "w").write(os.getcwd())'
	@touch $@

venv: $(INSTALLED)  ## make the virtual environment $(VENV)

# A module whose .pyx was removed or renamed must not live on: its .so would win over a .py of that name.
build: $(INSTALLED)  ## compile the extensions in place; only what changed
	@echo "== build: python setup.py build_ext --inplace"
	@find $(PACKAGES) $(wildcard build/lib.*) -name '*.so' | while read -r so; do \
	    module=$${so#build/lib.*/}; test -e "$${module%%.*}.pyx" || rm -v "$$so"; done
	@$(PY) setup.py --quiet build_ext --inplace

run: build  ## two mock exchanges and a connector with two strategies on loopback, for 20 s
	@echo "== run: connectors run configs/demo.yaml"
	@$(BIN)/connectors run configs/demo.yaml

echo: build  ## the core alone: an echo server and a client on loopback, print round trips
	@echo "== echo: python -m picows.examples.echo_demo"
	@$(PY) -m picows.examples.echo_demo

# Every tool has its say before the target fails.
check: build  ## format, lint, types, stubs
	@failed=; \
	tool() { echo "== check: $$1"; name=$$1; shift; "$$@" || failed="$$failed, $${name%% *}"; }; \
	tool "ruff-format" $(BIN)/ruff format --check .; \
	tool "ruff" $(BIN)/ruff check .; \
	PATH="$(abspath $(BIN)):$$PATH"; tool "cython-lint $(PACKAGES)" $(BIN)/cython-lint $(PACKAGES); \
	tool "mypy --strict setup.py $(PACKAGES)" $(BIN)/mypy --strict setup.py $(PACKAGES); \
	tool "stubtest $(STUBBED)" $(BIN)/stubtest --mypy-config-file pyproject.toml $(STUBBED); \
	test -z "$$failed" || { echo "check: failed: $${failed#, } (details above)" >&2; exit 1; }; \
	echo "== check: clean"

format: $(INSTALLED)  ## write the formatting and the lint fixes that ruff can make
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: build test-c  ## C tests, then pytest; PYTEST_ARGS="-k name" narrows it, PARALLEL= takes one process
	@echo "== test: pytest $(PARALLEL) $(PYTEST_ARGS)"
	@$(IN_VENV) pytest $(PARALLEL) $(PYTEST_ARGS)

test-c:  ## the C tests of wire.h under ASan and UBSan
	@test -n "$(C_TESTS)" || { echo "test-c: no tests/c/test_*.c found" >&2; exit 1; }
	@mkdir -p build/c
	@set -e; for source in $(C_TESTS); do \
	    name=build/c/$$(basename $$source .c); \
	    echo "== test-c: $$source"; \
	    $(CC) -std=c11 -Wall -Wextra -Werror -g -O1 -fno-omit-frame-pointer \
	        -fsanitize=address,undefined -fno-sanitize-recover=undefined -Ipicows $$source -o $$name -lm; \
	    $$name; \
	done

# The tests are copied next to the sanitized build, so that neither they nor the processes they start can
# import the ordinary build from the source tree. The interpreter itself is not sanitized, hence LD_PRELOAD;
# it never frees what lives as long as the process, hence no leak check. Bounds of resident memory (marker rss) are
# left out: shadow memory, red zones and the quarantine of freed blocks are resident, too. libstdc++: ASan wraps __cxa_throw, and has to find it at start. --capture=sys: a report goes
# to file descriptor 2 of a process that dies, and pytest would take it along.
sanitize: $(INSTALLED)  ## the tests of the core under an ASan and UBSan build of the extensions
	@echo "== sanitize: build into $(SAN)"
	@rm -rf $(SAN)/tree && mkdir -p $(SAN)/tree
	@PICOWS_SANITIZE=1 $(PY) setup.py --quiet build --build-base $(SAN) --build-lib $(SAN)/tree
	@cp -r tests pyproject.toml $(SAN)/tree/
	@echo "== sanitize: pytest $(SAN_TESTS) $(PYTEST_ARGS)"
	@cd $(SAN)/tree && env $(IN_VENV) PYTHONPATH="$$PWD" PYTHONMALLOC=malloc \
	    LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libstdc++.so)" \
	    ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=16:halt_on_error=1 \
	    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	    CAPTURES_DIR="$${CAPTURES_DIR:-$(abspath ../shared/data/captures)}" TEST_PATIENCE=5 \
	    $(abspath $(PY)) -m pytest --capture=sys -m "not rss" $(SAN_TESTS) $(PYTEST_ARGS)

# Built as it is used: no assertion of the interpreter, no sanitizer. Copied like the sanitized tests, and for the
# same reason. Requirements without a build for this Python are left out, and the tests that need them skip.
freethreaded:  ## the tests of the core on CPython 3.13 without the GIL, built from Debian's source
	@tests/freethreaded/build_python.sh $(FT_PREFIX)
	@test -x $(FT_VENV)/bin/python || $(FT_PREFIX)/bin/python3 -m venv $(FT_VENV)
	@$(FT_VENV)/bin/python -m pip install --quiet --requirement tests/freethreaded/requirements.txt
	@echo "== freethreaded: build into $(FT)"
	@rm -rf $(FT)/tree/tests && mkdir -p $(FT)/tree
	@$(FT_VENV)/bin/python setup.py --quiet build --build-base $(FT) --build-lib $(FT)/tree
	@cp -r tests pyproject.toml $(FT)/tree/
	@echo '== freethreaded: pytest $(FT_TESTS) $(PYTEST_ARGS)'
	@cd $(FT)/tree && PYTHONPATH="$$PWD" TEST_PATIENCE=5 $(abspath $(FT_VENV))/bin/python -m pytest $(FT_TESTS) $(PYTEST_ARGS)

# clang marks the edges of the C code, and the library that atheris brings follows them: hence LD_PRELOAD. It is
# ASan's, so the fuzzed extensions are sanitized as well. Without clang only Python code is followed.
fuzz: $(INSTALLED)  ## each fuzz target for FUZZ_SECONDS, with atheris; what fails is kept in build/fuzz/corpus
	@$(PY) -m pip install --quiet "atheris>=3.0"
	@echo "== fuzz: build into $(FUZZ)"
	@rm -rf $(FUZZ)/tree/tests && mkdir -p $(FUZZ)/tree
	@if command -v clang > /dev/null; then \
	    export CC=clang LDSHARED="clang -shared" CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,fuzzer-no-link"; \
	else echo "fuzz: no clang, so C code is not followed" >&2; fi; \
	$(PY) setup.py --quiet build --build-base $(FUZZ) --build-lib $(FUZZ)/tree
	@cp -r tests pyproject.toml $(FUZZ)/tree/
	@cd $(FUZZ)/tree && nice env PYTHONPATH="$$PWD" ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
	    LD_PRELOAD="$$(command -v clang > /dev/null && echo $(abspath $(VENV))/lib/python*/site-packages/asan_with_fuzzer.so)" \
	    $(abspath $(PY)) -m tests.fuzz.fuzz $(FUZZ_TARGETS) --seconds $(FUZZ_SECONDS) --corpus $(abspath $(FUZZ))/corpus

$(BENCH_VENV)/.installed:
	@echo "== bench-venv: $(BENCH_VENV) with picows 2.3.1"
	test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet picows==2.3.1 uvloop cython setuptools
	@touch $@

bench-venv: $(BENCH_VENV)/.installed  ## the virtual environment with picows 2.3.1 to compare with

# Without OpenSSL's headers the peer speaks no TLS, and the rows that need it say so.
build/bench/peer: $(wildcard tests/bench/peer/*.c tests/bench/peer/*.h)
	@mkdir -p build/bench
	@tls="-DWITH_TLS -lssl -lcrypto"; \
	echo '#include <openssl/ssl.h>' | $(CC) -E - >/dev/null 2>&1 || \
	    { tls=; echo "bench: no OpenSSL headers (libssl-dev): the peer is built without TLS"; }; \
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror tests/bench/peer/*.c -o $@ $$tls

# The listener in Cython, compiled against either library; setup.py looks at times.
bench-listener-ours bench-listener-theirs: bench-listener-%: build
	@mkdir -p $(BENCH_OUT)/$*
	@cp -u tests/bench/worker/counting.pyx tests/bench/worker/setup.py $(BENCH_OUT)/$*/
	@cd $(BENCH_OUT)/$* && $(BENCH_PYTHON) setup.py --quiet build_ext --inplace

bench-listener-ours: BENCH_PYTHON = $(abspath $(BIN))/python
bench-listener-theirs: BENCH_PYTHON = $(abspath $(BENCH_VENV))/bin/python
bench-listener-theirs: bench-venv

$(VENV)/.bench-installed: $(INSTALLED)
	@echo "== bench: the extra 'bench', for the plot"
	@$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"], sep="\n")' > $(VENV)/bench-requires.txt
	-$(PY) -m pip install --quiet -r $(VENV)/bench-requires.txt
	@touch $@

# `make bench PYTHON=python3.13` has venvs of its own beside those of another version.
bench:  ## the speed table against picows 2.3.1; BENCH_ARGS="--quick --only echo"
	@minor='import sys; print("%d.%d" % sys.version_info[:2])'; \
	wanted=$$($(PYTHON) -c "$$minor"); there=$$($(PY) -c "$$minor" 2>/dev/null || echo $$wanted); \
	if [ "$$wanted" = "$$there" ]; then venv=$(VENV); else venv=$(VENV)-$$wanted; fi; \
	$(MAKE) --no-print-directory VENV=$$venv bench-table

bench-table: bench-listener-ours bench-listener-theirs build/bench/peer $(VENV)/.bench-installed
	@$(PY) tests/bench/runner --theirs $(BENCH_VENV)/bin/python --peer build/bench/peer --out $(BENCH_OUT) $(BENCH_ARGS)

bench-instructions: bench-listener-ours build/bench/peer  ## instructions per frame, by callgrind; BENCH_ARGS=--check
	@$(PY) tests/bench/instructions --peer build/bench/peer --extensions $(BENCH_OUT)/ours $(BENCH_ARGS)

bench-more: build  ## the other benchmarks: tests/bench/bench_*.py
	@set -e; for script in $(BENCHES); do echo "== bench: $$script"; $(PY) $$script; done

# Compiled modules in build/lib.* are taken as they are; the rest is copied afresh, so no removed file gets in.
wheel: build  ## build the wheel into dist/
	@echo "== wheel: pip wheel into dist/"
	@find build/lib.* -type f ! -name '*.so' -delete
	@rm -f dist/*.whl
	@$(PY) -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir dist .

clean:  ## remove what a build, a test run and the tools leave; keeps the venv
	@echo "== clean"
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
	find . -path './.venv*' -prune -o -name __pycache__ -type d -exec rm -rf {} +
	find picows connectors strategies -name '*.so' -o -name '*.pyd' | xargs -r rm -f
	find picows connectors strategies -name '*.pyx' | sed 's/\.pyx$$/.c/' | xargs -r rm -f

distclean: clean  ## clean, and remove the venvs
	rm -rf $(VENV) $(FT_VENV)
