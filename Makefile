# memprof: works alone; ./configure (from configure.ac) is optional and only
# writes build/config.mak, which is included here. "make help" lists the targets.

-include build/config.mak

PYTHON ?= python3
CC ?= gcc
PREFIX ?= /usr/local
CFLAGS ?= -O2 -g
SANITIZE ?=
NDEBUG ?= -DNDEBUG

# make V=1 shows the commands.
ifdef V
SAY = :
else
SAY = @echo
endif

# NO NEED TO CHANGE ANYTHING BELOW --------------------------------------------

WARN = -Wall -Wextra -Wpedantic -Wshadow -Wpointer-arith -Wstrict-prototypes \
       -Wmissing-prototypes -Wundef -Wvla
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
BASE = -std=c11 -fPIC -fvisibility=hidden -fno-plt -pthread -Iinclude -Ilib -DMEMPROF_VERSION='"$(VERSION)"' \
       $(WARN) $(CFLAGS)

# Every .c of lib/, of the systems this one's only (pymod/build_ext.py has the same rule).
# Those of lib/py and pymod/core need Python.
SYSTEM ?= linux
find = $(sort $(shell find $(1) -name '$(2)' -not -path 'lib/os/*/*') $(wildcard lib/os/$(SYSTEM)/$(2)))
LIB_SOURCES := $(filter-out lib/py/%,$(call find,lib,*.c))
EXT_SOURCES := $(call find,lib pymod/core,*.c)
HEADERS := $(call find,lib include pymod/core,*.h)
C_TESTS := $(sort $(wildcard tests/c/test_*.c))

O = build/obj$(SANITIZE)
LIB_OBJECTS := $(LIB_SOURCES:%.c=$O/%.o)
C_TEST_BINARIES := $(C_TESTS:tests/c/%.c=$O/%)
VENV = build/venv
VENV_PYTHON = $(VENV)/bin/python
EXT_SUFFIX = $(shell $(PYTHON) -c "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))")
PY_INCLUDE = $(shell $(PYTHON) -c "import sysconfig; print(sysconfig.get_path('include'))")
PY_TAG = $(shell $(PYTHON) -c "import sys; print(sys.implementation.cache_tag + sys.abiflags)")
EXT = pymod/memprof/_core$(EXT_SUFFIX)
EXT_OBJECTS = $(EXT_SOURCES:%.c=build/ext-$(PY_TAG)/%.o)

.PHONY: all lib ext setup demo check check-c check-py check-timing lint install clean help \
        check-pythons check-walks check-aarch64 check-cpython python-table wheel soak nightly check-debug check-asan check-ubsan check-tsan fuzz bench bench-real bench-pythons bench-publish bench-micro budget

all: lib ext                ## build the C library and the extension

lib: build/libmemprof.a build/libmemprof.so build/memprof.pc  ## build libmemprof.a and .so

ext: $(EXT)                 ## build the Python extension in place

setup:                      ## install what is missing: system packages, virtual environment
	@sh .ci/setup $(PYTHON)
	@$(MAKE) --no-print-directory $(VENV)/ready

demo: setup                 ## trace a small service that leaks, and print the leak report
	@$(MAKE) --no-print-directory ext
	$(VENV_PYTHON) -m memprof --leaks tests/programs/service.py

check: setup                ## cmocka and pytest suites
	@$(MAKE) --no-print-directory lib ext
	@$(MAKE) --no-print-directory lint check-c check-py budget

$(VENV)/ready: pyproject.toml pymod/build_ext.py
	test -x $(VENV_PYTHON) || $(PYTHON) -m venv $(VENV)
	$(VENV_PYTHON) -m pip install -q --disable-pip-version-check 'setuptools>=77' wheel
	$(VENV_PYTHON) -m pip install -q --disable-pip-version-check --no-build-isolation -e '.[test,lint]'
	touch $@

$O/%.o: %.c $(HEADERS)
	@mkdir -p $(@D)
	$(SAY) "  cc $<"; $(CC) $(BASE) $(SANITIZE:-%=-fsanitize=%) -c $< -o $@

build/libmemprof.a: $(LIB_OBJECTS)
	ar rcs $@ $^

build/libmemprof.so: $(LIB_OBJECTS)
	$(SAY) "  ld $@"; $(CC) $(BASE) -shared -Wl,-soname,libmemprof.so.0 $^ -o $@

build/memprof.pc: Makefile pyproject.toml
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'Name: memprof' 'Version: $(VERSION)' \
	  'Description: memory profiler and leak tracer, C library' \
	  'Libs: -L$${prefix}/lib -lmemprof -pthread' 'Cflags: -I$${prefix}/include' > $@

build/ext-$(PY_TAG)/%.o: %.c $(HEADERS)
	@mkdir -p $(@D)
	$(SAY) "  cc $<"; $(CC) $(BASE) $(NDEBUG) -isystem $(PY_INCLUDE) -c $< -o $@

$(EXT): $(EXT_OBJECTS)
	$(SAY) "  ld $@"; $(CC) $(BASE) -shared $^ -o $@

check-c: $(C_TEST_BINARIES) ## C suites only
	@set -e; for t in $^; do CMOCKA_MESSAGE_OUTPUT=stdout $$t; done

$O/test_%: tests/c/test_%.c $(wildcard tests/c/*.h) $(LIB_OBJECTS)
	$(SAY) "  cc $<"; $(CC) $(BASE) $(SANITIZE:-%=-fsanitize=%) $< $(filter %.o,$^) -lcmocka -lm -o $@

$O/test_cache: $O/lib/py/stack/cache.o # a file of lib/py that needs no Python

LENGTH ?= long
check-asan check-ubsan check-tsan: check-%: setup ## C suites and the extension's tests (LENGTH=short, long) under a sanitizer
	$(MAKE) check-c SANITIZE=-$(patsubst asan,address,$(patsubst ubsan,undefined,$(patsubst tsan,thread,$*)))
	$(VENV_PYTHON) tests/matrix/check_sanitized.py $* $(LENGTH)

check-debug: setup          ## both with asserts and with whole structures checked as they change (MP_DEBUG=2)
	$(MAKE) check-c O=build/obj-debug CFLAGS="-O1 -g -DMP_DEBUG=2"
	$(VENV_PYTHON) tests/matrix/check_debug.py $(LENGTH)

FUZZ = clang-14 -O1 -g -std=c11 -pthread -fsanitize=fuzzer,address,undefined \
       -fno-sanitize-recover=undefined -Ilib -Iinclude
FUZZ_SECONDS ?= 60

build/fuzz/profile: tests/fuzz/fuzz_profile.c $(LIB_SOURCES) $(HEADERS)
	@mkdir -p build/fuzz/new_profile
	$(FUZZ) $< $(LIB_SOURCES) -o $@

build/fuzz/linetable: tests/fuzz/fuzz_linetable.c lib/base/linetable.c lib/base/linetable.h
	@mkdir -p build/fuzz/new_linetable
	$(FUZZ) $< lib/base/linetable.c -o $@

fuzz: build/fuzz/profile build/fuzz/linetable  ## the fuzzers (clang-14, libclang-rt-14-dev), FUZZ_SECONDS each
	cd build/fuzz && for f in profile linetable; do ./$$f -max_total_time=$(FUZZ_SECONDS) \
	  -max_len=4096 new_$$f ../../tests/fuzz/corpus_$$f || exit 1; done

check-pythons:              ## the whole suite on PYTHONS; by default on all that tests/matrix/pythons provides
	@$(PYTHON) tests/matrix/check_pythons.py $(PYTHONS)

check-walks:                ## the same, where each stack's hash is compared with that of a whole walk
	@MEMPROF_RESULTS=build/walks.json CFLAGS="-O1 -g -DMP_CHECK_WALKS" \
	  $(PYTHON) tests/matrix/check_pythons.py $(PYTHONS)

check-aarch64:              ## make check in an aarch64 Debian under emulation: by hand, an hour
	@tests/matrix/emulated $(if $(PYTEST),"PYTEST=$(PYTEST)")

TESTS ?= usual
check-cpython: setup        ## CPython's own tests (TESTS=short, usual, all or names), bare and under memprof
	@$(PYTHON) tests/matrix/check_cpython.py --tests "$(TESTS)" $(PYTHONS)

SOAK_SECONDS ?= 3600
soak: setup                 ## threads, forks, starts and stops for SOAK_SECONDS (an hour): nightly
	@$(MAKE) --no-print-directory ext
	$(VENV_PYTHON) tests/soak/soak.py $(SOAK_SECONDS)

nightly:                    ## what takes hours: soak, CPython's tests, sanitizers, fuzzers
	@failed=; for what in "budget GROWTH=10000000" check-timing check-debug soak check-cpython check-walks check-asan check-ubsan check-tsan "fuzz FUZZ_SECONDS=1800"; do \
	  $(MAKE) --no-print-directory $$what || failed="$$failed $${what%% *}"; done; \
	  test -z "$$failed" || { echo "nightly: failed:$$failed"; exit 1; }

wheel:                      ## a wheel for each of PYTHONS in dist/: audited, installed, tried
	@$(PYTHON) tests/matrix/wheel.py $(or $(PYTHONS),$(PYTHON))

python-table:               ## the README's table of versions, from the last check-pythons
	@$(PYTHON) tests/matrix/python_table.py

check-py: ext               ## pytest suite only, without the tests that are marked "timing"
	$(VENV_PYTHON) -m pytest tests/py -q $(PYTEST)

check-timing: ext           ## only those, which need an idle machine: nightly
	$(VENV_PYTHON) -m pytest tests/py -q -m timing || test $$? = 5 # there are none

lint: $(VENV)/ready         ## laws between rooms, sizes, headers alone, Python's formatter and linter
	@$(PYTHON) tests/lint/house.py
	@$(VENV_PYTHON) -m ruff check --quiet
	@$(VENV_PYTHON) -m ruff format --check
	@for h in $(filter lib/%.h include/memprof/memprof.h,$(filter-out lib/py/%,$(HEADERS))); do \
	  $(CC) -std=c11 -fsyntax-only -Wall -Iinclude -Ilib -x c $$h || exit 1; done

install: lib                ## install library, headers and pkg-config file under PREFIX
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include/memprof
	install -m 644 build/libmemprof.a $(DESTDIR)$(PREFIX)/lib
	install -m 755 build/libmemprof.so $(DESTDIR)$(PREFIX)/lib/libmemprof.so.0
	ln -sf libmemprof.so.0 $(DESTDIR)$(PREFIX)/lib/libmemprof.so
	install -m 644 build/memprof.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 644 include/memprof/*.h $(DESTDIR)$(PREFIX)/include/memprof

GROWTH ?= 1000000
budget: ext build/bench/micro ## instructions on fixed workloads against bench/budget.json (needs valgrind)
	@$(VENV_PYTHON) bench/instructions.py --check --growth $(GROWTH)

# make bench BENCHMARKS=json_loads,float TOOLS=bare,memprof PARTS=overhead ROUNDS=3 PYTHON=python3.14
BENCHMARKS ?= all
TOOLS ?= all
PARTS ?= all
ROUNDS ?= 5
SECONDS ?= 0.1
bench: build/bench/micro    ## all benchmarks, in a virtual environment of their own (bench/README.md)
	@$(PYTHON) bench/run.py --benchmarks $(BENCHMARKS) --tools $(TOOLS) --parts $(PARTS) \
	  --rounds $(ROUNDS) --seconds $(SECONDS)
	@$(PYTHON) bench/report.py

WORKLOADS ?= all
bench-real: ext             ## test suites and imports of real programs, bare and under memory profilers (an hour)
	@$(VENV_PYTHON) bench/real.py --workloads $(WORKLOADS) --tools $(TOOLS) --rounds $(ROUNDS)
	@$(PYTHON) bench/report.py

bench-pythons:              ## run time of memprof on each of PYTHONS; by default on all that tests/matrix/pythons provides
	@for python in $${PYTHONS:-$$(tests/matrix/pythons | cut -f 2)}; do \
	  $$python bench/run.py --tools bare,memprof,memprof-free-lists --parts overhead --benchmarks $(BENCHMARKS) \
	    --rounds $(ROUNDS) --seconds $(SECONDS) || exit 1; done
	@$(PYTHON) bench/report.py

bench-publish:              ## put what "make bench" measured into README.md and bench/RESULTS.md
	@$(PYTHON) bench/report.py --publish

bench-micro: build/bench/micro ## nanoseconds of single operations of the tables, without Python
	@build/bench/micro

build/bench/micro: bench/micro.c $(LIB_SOURCES) $(HEADERS)
	@mkdir -p build/bench
	$(SAY) "  cc $<"; $(CC) $(BASE) -DNDEBUG $< $(LIB_SOURCES) -o $@

configure: configure.ac
	autoconf

clean:                      ## remove what was built
	rm -rf build pymod/memprof/*.so configure config.log config.status autom4te.cache

help:                       ## this list
	@sed -n 's/^\([a-z][a-z0-9 -]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{printf "  %-36s %s\n", $$1, $$2}'
