# Makefile: builds, tests and installs vdb; `make help` lists the targets.
#
# One make for the whole tree, sources found by wildcard, one folder of output per MODE:
# build/MODE/bin and libexec mirror the installed layout, so that a tool finds its helper in either.
# Nothing here runs pkg-config or looks for a header while it is being read: `make deps` has to work
# where neither is installed.
#
# SPDX-License-Identifier: BSD-2-Clause

MODES := release debug asan ubsan tsan clang coverage fuzz afl
MODE  := $(or $(MODE),release)
ifeq ($(filter $(MODE),$(MODES)),)
$(error MODE is one of: $(MODES))
endif

B   := build/$(MODE)
OBJ := $(B)/obj

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

# ---- compilers and flags --------------------------------------------------------------------

comma := ,
ifneq ($(filter default undefined,$(origin CC)),)
CC := $(if $(filter clang fuzz,$(MODE)),clang,$(if $(filter afl,$(MODE)),afl-clang-fast,gcc))
endif
ifneq ($(filter default undefined,$(origin AR)),)
AR := ar
endif
ifneq ($(filter default undefined,$(origin CXX)),)
CXX := g++
endif
OBJCOPY ?= objcopy

OPT_release  := -O2
OPT_debug    := -Og
OPT_clang    := -O2
OPT_asan     := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
OPT_ubsan    := -O1 -fsanitize=undefined -fno-sanitize-recover=all
OPT_tsan     := -O1 -fsanitize=thread
OPT_coverage := -O0 --coverage
OPT_fuzz     := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
                -fno-sanitize-recover=all
OPT_afl      := $(OPT_fuzz)

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wvla -Wmissing-prototypes \
        $(if $(filter 1,$(WERROR)),-Werror)

# What makes a defect harder to use (tests/lint/harden.bats). Builds with sanitizers go without:
# those see more, and -D_FORTIFY_SOURCE hides calls from them. Of the flags that not every compiler
# and processor has, the compiler is asked once, when the first command is run.
HARDENED := $(filter release debug clang,$(MODE))
known     = $(shell $(CC) $(1) -Werror -x c -c -o /dev/null /dev/null 2>/dev/null && echo $(1))
HARDEN_BY_COMPILER = $(eval HARDEN_BY_COMPILER := $(strip $(foreach f,-fstack-protector-strong \
                     -fstack-clash-protection -fcf-protection,$(call known,$f))))$(HARDEN_BY_COMPILER)
# A user's own level of it is not defined a second time; without optimization it only warns.
FORTIFY   = $(if $(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS))$(filter -O0,$(CFLAGS)),, \
            -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
HARDEN    = $(if $(HARDENED),$(FORTIFY) $(HARDEN_BY_COMPILER))
HARDEN_LD = -Wl,-z,text,-z,noexecstack$(if $(HARDENED),$(comma)-z$(comma)relro$(comma)-z$(comma)now)

# -ffp-contract=off is part of the format: with it, every build rounds alike. The user's own flags
# come last and win.
BASE_CPPFLAGS := -D_GNU_SOURCE -Ilib -Itools
BASE_CFLAGS   := -std=c11 $(OPT_$(MODE)) -g -ffp-contract=off -fvisibility=hidden -fPIC -pthread
COMPILE        = $(CC) $(BASE_CPPFLAGS) $(HARDEN) $(CPPFLAGS) $(BASE_CFLAGS) $(WARN) $(CFLAGS)
LINK           = $(CC) $(BASE_CFLAGS) $(CFLAGS) -Wl,--as-needed $(HARDEN_LD) $(LDFLAGS)
LINK_PROGRAM   = $(CC) -pie $(BASE_CFLAGS) $(CFLAGS) -Wl,--as-needed $(HARDEN_LD) $(LDFLAGS)

LIB_LIBS  := -lxxhash -llz4 -lm -pthread

# What the tools need beside the library is linked into them where the system has it as an archive,
# so that they start with the library's own needs and no others. Looked for when linking, not before.
archive    = $(or $(filter /%,$(shell $(CC) -print-file-name=lib$(1).a)),-l$(1))
TOOL_LIBS  = $(call archive,jansson) $(call archive,z) $(LIB_LIBS)

# Asked for in recipes alone, by when `make deps` has run.
HDF5_CPPFLAGS = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags hdf5))
HDF5_LIBS     = $(shell pkg-config --libs hdf5)

# `make V=1` shows whole commands, else a line a file.
Q   := $(if $(filter 1,$(V)),,@)
say  = $(if $(filter 1,$(V)),,@printf '  %-4s %s\n' $(1) $(2))

# ---- what there is --------------------------------------------------------------------------

LIB_SRC   := $(wildcard lib/*.c lib/*/*.c)
PROG_SRC  := $(wildcard tools/vdb-*.c)
SHARE_SRC := $(filter-out $(PROG_SRC),$(wildcard tools/*.c tools/*/*.c))
TEST_SRC  := $(wildcard tests/unit/test_*.c tests/spec/test_*.c tests/golden/test_*.c \
               tests/fault/test_*.c)
SHIM_SRC  := tests/fault/shim.c
AID_SRC   := $(wildcard tests/tools/*.c) tests/fault/storm.c tests/fault/powercut_disk.c
UTIL_SRC  := $(filter-out $(TEST_SRC) $(AID_SRC) $(SHIM_SRC),$(wildcard tests/unit/*.c tests/fault/*.c))
BENCH_SRC := $(addprefix tests/bench/,peak.c resident.c startup.c durable.c churn.c hnsw_build.cc \
               side_by_side.cc)
FUZZ_SRC  := $(wildcard fuzz/*.c)
FUZZ_DRIVE := $(addprefix fuzz/aid/,replay.c mutate.c afl.c) # what runs targets where libFuzzer does not
FUZZ_AID  := $(filter-out $(FUZZ_DRIVE),$(wildcard fuzz/aid/*.c))

objects = $(patsubst %.c,$(OBJ)/%.o,$(1))

HELPERS   := $(filter tools/vdb-hdf5.c,$(PROG_SRC))
BINS      := $(patsubst tools/%.c,$(B)/bin/%,$(filter-out $(HELPERS),$(PROG_SRC)))
LIBEXECS  := $(patsubst tools/%.c,$(B)/libexec/vdb/%,$(HELPERS))
TESTS     := $(addprefix $(B)/tests/,$(notdir $(TEST_SRC:.c=)))
AIDS      := $(addprefix $(B)/tests/aid/,$(notdir $(AID_SRC:.c=)) shim.so)
BENCHES   := $(addprefix $(B)/tests/bench/,$(notdir $(basename $(BENCH_SRC))))
REPLAYS   := $(patsubst fuzz/%.c,$(B)/fuzz/replay-%,$(FUZZ_SRC))
BATS      := $(sort $(wildcard tests/*/*.bats fuzz/*.bats))
# What does not depend on how the code is compiled is tested once, and so is what goes over many
# rows, crashes or failures: minutes under a sanitizer, through code that others go through as well.
# ALL=1 has sanitizers go over these too.
ONCE      := tests/lint/% tests/abi/% tests/bench/% tests/spec/% \
             $(patsubst %,tests/fault/%.bats,powercut shim signals) \
             $(patsubst %,tests/tools/%.bats,bench codes hdf5 hnsw hybrid install ivf man readme \
               recall salvage)
ONCE_UNIT := calibrate changelog check_log churn compact crash_heavy crash_sync dimension graph_bulk \
             graph_merge hnsw hybrid ivf_life search searcher snapshot
ifeq ($(filter release,$(MODE))$(ALL),)
BATS      := $(filter-out $(ONCE),$(BATS))
TESTS     := $(filter-out $(ONCE_UNIT:%=$(B)/tests/test_%),$(TESTS))
endif
MAN1      := $(sort $(wildcard tools/*.1))
MAN3      := $(sort $(wildcard lib/*.3))
C_FILES   := $(wildcard lib/*.[ch] lib/*/*.[ch] tools/*.[ch] tools/*/*.[ch] fuzz/*.[ch] \
               fuzz/*/*.[ch] tests/*/*.[ch])

LIBS := $(B)/libvdb.a $(B)/libvdb.so.0 $(B)/libvdb.so

# ---- building -------------------------------------------------------------------------------

.PHONY: all debug asan ubsan tsan clang
all: $(LIBS) $(BINS) $(LIBEXECS)                ## build the library and the tools (MODE=release)
debug asan ubsan tsan clang:                    ## the same as `make MODE=debug`, ...
	+@$(MAKE) --no-print-directory MODE=$@ $(JOBS_FLAG) all

# As many jobs as processors, unless the user's own make has its say.
JOBS      ?= $(shell nproc 2>/dev/null || echo 2)
JOBS_FLAG  = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(JOBS))

# Objects are made anew when the flags change, but for how warnings are taken. (FORCE is phony:
# under .SECONDARY a mere name that is no file would make nothing anew.)
FLAGS = $(subst ','\'',$(filter-out -Werror,$(COMPILE) | $(LINK_PROGRAM)))
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@
.PHONY: FORCE
FORCE:

$(OBJ)/tools/vdb-hdf5.o $(OBJ)/tools/hdf5/hdf5_%.o: EXTRA = $(HDF5_CPPFLAGS)
# What reads and writes files of its own beside the helper's is not to be shut out of them.
$(OBJ)/tools/hdf5/confine.o: EXTRA = $(if $(HARDENED),,-DVDB_UNCONFINED)
# What makes inputs is not what is tested by them.
build/fuzz/obj/fuzz/aid/%.o build/afl/obj/fuzz/aid/%.o: EXTRA = -Ifuzz -O2 -fno-sanitize=all
# clang takes minutes over these with all sanitizers; MODE=asan checks them.
$(foreach m,fuzz afl,$(foreach f,avx512 vbmi,build/$m/obj/lib/vector/scan_$f.o)): EXTRA = -fno-sanitize=undefined
$(OBJ)/tests/%.o $(OBJ)/fuzz/%.o: EXTRA = -Itests -Ifuzz -I.
$(OBJ)/tests/unit/test_input_hdf5.o $(OBJ)/tests/tools/hostile_hdf5.o: EXTRA = -Itests -I. $(HDF5_CPPFLAGS)

$(OBJ)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(COMPILE) $(EXTRA) -MMD -MP -c -o $@ $<

# Everything in lib/, for unit tests and fuzzing, which look behind vdb.h.
$(B)/libvdb-internal.a: $(call objects,$(LIB_SRC))
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

# One object with only vdb_* visible, so that a program's own `graph_build` is no clash.
$(B)/libvdb.a: $(call objects,$(LIB_SRC))
	@rm -f $@
	$(Q)$(CC) -nostdlib -r -o $(OBJ)/libvdb.o $^
	$(Q)$(OBJCOPY) --localize-hidden $(OBJ)/libvdb.o
	$(Q)$(AR) rcs $@ $(OBJ)/libvdb.o

$(B)/libvdb.so.0: $(call objects,$(LIB_SRC)) lib/libvdb.map
	$(call say,LD,$@)
	$(Q)$(LINK) -shared -Wl,-soname,libvdb.so.0 -Wl,--version-script,lib/libvdb.map -o $@ \
	  $(filter %.o,$^) $(LIB_LIBS)
$(B)/libvdb.so: $(B)/libvdb.so.0
	$(Q)ln -sf libvdb.so.0 $@

$(B)/libtools.a: $(call objects,$(SHARE_SRC))
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

$(B)/bin/%: $(OBJ)/tools/%.o $(B)/libtools.a $(B)/libvdb.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LINK_PROGRAM) -o $@ $^ $(TOOL_LIBS)
$(B)/libexec/vdb/%: $(OBJ)/tools/%.o $(B)/libtools.a $(B)/libvdb.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LINK_PROGRAM) -o $@ $^ $(HDF5_LIBS) $(TOOL_LIBS)

# ---- testing --------------------------------------------------------------------------------

$(B)/libtest.a: $(call objects,$(UTIL_SRC))
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

TEST_NEEDS = $(B)/libtest.a $(B)/libtools.a $(B)/libvdb-internal.a
define link_test
@mkdir -p $(@D)
$(call say,LD,$@)
$(Q)$(LINK) -o $@ $^ -lcmocka $(TEST_LIBS) $(TOOL_LIBS)
endef
$(B)/tests/test_input_hdf5: TEST_LIBS = $(HDF5_LIBS)
$(B)/tests/test_input_hdf5: | $(LIBEXECS)
$(B)/tests/aid/hostile_hdf5: TEST_LIBS = $(HDF5_LIBS)
$(B)/tests/test_searcher: TEST_LIBS = \
  $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc aligned_alloc mmap)
# The calls that tests/fault/seam.c stands in for.
SEAM_WRAP := open mkostemp close pread pwrite posix_fallocate ftruncate fdatasync fsync rename \
             renameat2 link unlink fcntl statx realpath readlink fchmod fchown mmap malloc calloc \
             realloc aligned_alloc strdup asprintf pthread_create
$(patsubst tests/fault/%.c,$(B)/tests/%,$(wildcard tests/fault/test_*.c)): TEST_LIBS = \
  $(addprefix -Wl$(comma)--wrap=,$(SEAM_WRAP))
$(B)/tests/%: $(OBJ)/tests/unit/%.o $(TEST_NEEDS)
	$(link_test)
$(B)/tests/%: $(OBJ)/tests/spec/%.o $(TEST_NEEDS)
	$(link_test)
$(B)/tests/%: $(OBJ)/tests/golden/%.o $(TEST_NEEDS)
	$(link_test)
$(B)/tests/%: $(OBJ)/tests/fault/%.o $(TEST_NEEDS)
	$(link_test)
$(B)/tests/aid/%: $(OBJ)/tests/tools/%.o $(TEST_NEEDS)
	$(link_test)
$(B)/tests/aid/%: $(OBJ)/tests/fault/%.o $(TEST_NEEDS)
	$(link_test)
# It stands in front of a sanitizer's runtime or behind it, and has none of its own.
$(B)/tests/aid/shim.so: $(SHIM_SRC)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(BASE_CPPFLAGS) $(CPPFLAGS) -std=c11 -O1 -g -fPIC -shared $(WARN) -o $@ $< -ldl

# What a test finds in its environment.
TEST_ENV = VDB_SOURCE_DIR='$(CURDIR)' VDB_BUILD='$(CURDIR)/$(B)' VDB_BIN='$(CURDIR)/$(B)/bin' \
           VDB_MODE=$(MODE) CC='$(CC)' WERROR='$(WERROR)' \
           PATH='$(CURDIR)/$(B)/bin:$(CURDIR)/build/python':"$$PATH" \
           ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:$$ASAN_OPTIONS \
           UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:$$UBSAN_OPTIONS \
           TSAN_OPTIONS=halt_on_error=1:$$TSAN_OPTIONS

.PHONY: test check test-programs aids
test: deps                                      ## run every test (MODE=asan make test: under ASan and UBSan)
	+@$(MAKE) --no-print-directory MODE=$(MODE) $(JOBS_FLAG) test-programs
	+@$(MAKE) --no-print-directory MODE=$(MODE) check

test-programs: all aids $(TESTS) $(REPLAYS) spec
aids: $(AIDS)

# T=tests/tools/add.bats runs that alone. python3 may be a script that looks for the interpreter, as
# managers of versions have it, and takes ten times as long as that: it is asked once.
check:
	@mkdir -p build/python
	@ln -sfn "$$(python3 -c 'import sys; print(sys.executable)')" build/python/python3
	@$(TEST_ENV) prove -j$(JOBS) --failures --comments -e tests/run $(or $(T),$(TESTS) $(BATS))

.PHONY: storm-long
storm-long: deps                                ## a storm of 10,000 kills, and 100 power cuts
	+@$(MAKE) --no-print-directory MODE=$(MODE) $(JOBS_FLAG) test-programs
	+@STORM_KILLS=10000 POWERCUT_CUTS=100 $(MAKE) --no-print-directory MODE=$(MODE) check \
	  T='tests/fault/storm.bats tests/fault/powercut.bats'

.PHONY: crash-long
crash-long:                                     ## a million crash images and more
	+@$(MAKE) --no-print-directory MODE=$(MODE) $(JOBS_FLAG) $(filter $(B)/tests/test_crash%,$(TESTS))
	+@VDB_CRASH_SCALE=$(or $(VDB_CRASH_SCALE),8) $(MAKE) --no-print-directory MODE=$(MODE) check \
	  T='$(filter $(B)/tests/test_crash%,$(TESTS))'

.PHONY: flips-long
flips-long:                                     ## every bit of a small file turned, one at a time
	+@$(MAKE) --no-print-directory MODE=$(MODE) $(JOBS_FLAG) $(B)/tests/test_flips
	+@VDB_FLIPS=all $(MAKE) --no-print-directory MODE=$(MODE) check T=$(B)/tests/test_flips

.PHONY: model-long
model-long:                                     ## a long random history: VDB_MODEL_SEED= another one
	+@$(MAKE) --no-print-directory MODE=$(MODE) $(JOBS_FLAG) $(B)/tests/test_model
	+@VDB_MODEL_STEPS=$(or $(VDB_MODEL_STEPS),10000) $(MAKE) --no-print-directory MODE=$(MODE) check \
	  T=$(B)/tests/test_model

# What has threads in it and does not take a sanitizer hours.
RACES := sharing rewind tail_scan filelock snapshot crew par changelog failures_memory
VALGRIND := sharing filelock snapshot changelog log manifest superblock tombstone metadata history
.PHONY: race valgrind
race: deps                                      ## what has threads in it, under ThreadSanitizer
	+@$(MAKE) --no-print-directory MODE=tsan $(JOBS_FLAG) all $(RACES:%=build/tsan/tests/test_%)
	+@$(MAKE) --no-print-directory MODE=tsan check T='$(RACES:%=build/tsan/tests/test_%)'
valgrind: deps                                  ## a small suite under valgrind's memcheck
	@tests/deps valgrind
	+@$(MAKE) --no-print-directory MODE=debug $(JOBS_FLAG) $(VALGRIND:%=build/debug/tests/test_%)
	@for t in $(VALGRIND); do echo "valgrind: test_$$t"; \
	  VDB_ISA=portable valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
	    build/debug/tests/test_$$t >build/debug/valgrind.log 2>&1 || { cat build/debug/valgrind.log; exit 1; }; done

.PHONY: mutants
mutants: deps                                   ## take out each sync, checksum, lock, order: N= names some
	python3 tests/fault/mutants.py $(N)

# What goes through the layers of format, log and locks; tests/coverage/README.md tells the rest.
COVERAGE := calibration changelog check_log check_past code_header crash failures failures_format \
            failures_locks failures_memory filelock flips graph_header history id_hash ids \
            ivf_header keep liveness log manifest metadata model names options osfile packed range \
            rewind row_times send sharing snapshot spec_examples spec_segments spool states stream \
            superblock tail tombstone txn
.PHONY: coverage coverage-all
coverage: deps                                  ## hold the branches of format, log and locks against a list
	+@$(MAKE) --no-print-directory MODE=coverage $(JOBS_FLAG) all $(COVERAGE:%=build/coverage/tests/test_%)
	@find build/coverage/obj -name '*.gcda' -delete
	+@$(MAKE) --no-print-directory MODE=coverage check T='$(COVERAGE:%=build/coverage/tests/test_%)'
	@python3 tests/coverage/branches.py build/coverage
coverage-all:                                   ## run all tests and print the lines they reach
	+@$(MAKE) --no-print-directory MODE=coverage $(JOBS_FLAG) test
	@gcov -n $$(find build/coverage/obj/lib build/coverage/obj/tools -name '*.gcda') | awk -F"[':%]" \
	  '/^File/ {f = $$2} /^Lines/ && f ~ /^(lib|tools)\// {printf "%6.1f%%  %s\n", $$3, f}' | sort -n

# ---- the spec -------------------------------------------------------------------------------

SPEC := $(sort $(wildcard format-spec/*.md))

.PHONY: spec
spec: $(if $(wildcard tests/spec/spec_assert.py),$(OBJ)/spec_assert.o) ## hold the tables of format-spec/ against the code
$(B)/spec_assert.c: tests/spec/spec_assert.py lib/format/disk.h $(SPEC)
	@mkdir -p $(@D)
	$(call say,SPEC,$@)
	$(Q)python3 $< $(SPEC) > $@
$(OBJ)/spec_assert.o: $(B)/spec_assert.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

# ---- demo and benchmarks --------------------------------------------------------------------

# hnswlib, the peer, is built as its authors advise: for this very CPU.
$(B)/tests/bench/%: tests/bench/%.cc $(B)/libvdb.a
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)$(CXX) $(BASE_CPPFLAGS) -O3 -march=native -std=c++17 -pthread $(PEER_FLAGS) -MMD -MP -o $@ $< \
	  $(B)/libvdb.a $(PEER_LIBS) $(TOOL_LIBS)
$(B)/tests/bench/durable: $(call objects,$(wildcard tests/bench/durable_*.c))
$(B)/tests/bench/%: $(OBJ)/tests/bench/%.o $(B)/libtools.a $(B)/libvdb-internal.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LINK) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(TOOL_LIBS)

.PHONY: demo bench bench-programs
demo: deps                                      ## index 60,000 images and search them
	+@$(MAKE) --no-print-directory MODE=$(MODE) $(JOBS_FLAG) all
	@$(TEST_ENV) tests/bench/demo
bench: deps                                     ## measure against hnswlib, side by side
	@CXX='$(CXX)' tests/bench/run --needs
	+@$(MAKE) --no-print-directory MODE=$(MODE) $(JOBS_FLAG) bench-programs
	@$(TEST_ENV) CXX='$(CXX)' tests/bench/run
bench-programs: all $(BENCHES)

# Data, indexes and packages of the other libraries stay in CACHE, so that a second run only searches.
CACHE ?= build/bench
$(B)/tests/bench/peers_usearch: PEER_FLAGS = -ffast-math -isystem $(CACHE)/node/node_modules/usearch/include
$(B)/tests/bench/peers_faiss: PEER_FLAGS = -fopenmp -isystem $(CACHE)/faiss/include
$(B)/tests/bench/peers_faiss: PEER_LIBS = $(CACHE)/faiss/libfaiss.a -lopenblas
$(B)/tests/bench/peers_faiss: | $(CACHE)/faiss/libfaiss.a
$(CACHE)/faiss/libfaiss.a:
	@CXX='$(CXX)' tests/bench/peers_faiss_lib $(@D)

PEERS_ARGS = --cache '$(CACHE)' --sets '$(SETS)' --peers '$(PEERS)' $(PEERS_OPTIONS)
.PHONY: bench-peers
bench-peers: deps                               ## SETS= PEERS= CACHE=: measure against other libraries
	@tests/deps $(foreach d,$(DEPS_BENCH),'$d')
	+@programs=$$(VDB_BUILD='$(B)' CXX='$(CXX)' tests/bench/peers --programs $(PEERS_ARGS)) && \
	  $(MAKE) --no-print-directory MODE=$(MODE) $(JOBS_FLAG) CACHE='$(CACHE)' all \
	  $(B)/tests/bench/datasets $(B)/tests/bench/startup $$programs
	@$(TEST_ENV) CXX='$(CXX)' tests/bench/peers $(PEERS_ARGS)

# ---- packages -------------------------------------------------------------------------------

# A question mark: worth having, but nothing fails where a system has no such package.
DEPS := gcc g++ make pkg-config libxxhash-dev liblz4-dev libjansson-dev libhdf5-dev zlib1g-dev \
        libcmocka-dev bats mandoc python3 perl dataset-fashion-mnist? libhnswlib-dev?
DEPS_CI := $(DEPS) clang clang-format cppcheck abigail-tools?
# npm may have come with a node that is no package of Debian's.
DEPS_BENCH = dataset-fashion-mnist? libhnswlib-dev? libfaiss-dev? libopenblas-pthread-dev? \
             $(if $(shell command -v npm),,npm?)

.PHONY: deps deps-ci
deps:                                           ## install what is missing, through apt-get
	@tests/deps $(foreach d,$(DEPS),'$d')
deps-ci:
	@tests/deps $(foreach d,$(DEPS_CI),'$d')

# ---- tidiness -------------------------------------------------------------------------------

.PHONY: lint format format-check man
lint:                                           ## hold the tree against its own rules
	python3 tests/lint/lint.py .
	python3 tests/coverage/branches.py --syntax
	$(if $(MAN1)$(MAN3),mandoc -T lint -W warning $(MAN1) $(MAN3))
	@command -v cppcheck >/dev/null || { echo 'lint: no cppcheck here, going without'; exit 0; }; \
	  set -x; cppcheck -q -j$(JOBS) --std=c11 --enable=portability --inline-suppr \
	  --suppress=missingIncludeSystem --suppress=autoVariables --suppress=nullPointer:tools/cli.c \
	  --error-exitcode=1 $(BASE_CPPFLAGS) -D__GNUC__ -D__x86_64__ lib tools fuzz
format:                                         ## clang-format every file
	clang-format -i $(C_FILES)
format-check:
	clang-format --dry-run -Werror $(C_FILES)
man: $(patsubst %,$(B)/man/%.html,$(notdir $(MAN1) $(MAN3))) ## check the man pages and format them as HTML
$(B)/man/%.html: tools/%
	@mkdir -p $(@D)
	mandoc -T html -W warning $< > $@
$(B)/man/%.html: lib/%
	@mkdir -p $(@D)
	mandoc -T html -W warning $< > $@

.PHONY: abi
abi: $(B)/libvdb.so.0                           ## write the snapshot of the binary interface anew
	@tests/deps abigail-tools
	tests/abi/snapshot $< tests/abi/libvdb.abi

# ---- fuzzing --------------------------------------------------------------------------------

SECONDS ?= 60
# What is called instead: memory by a count of it (aid/memory.c), wrong usage by a leap (number.c).
FUZZ_WRAP := malloc calloc realloc aligned_alloc free mmap
$(B)/fuzz/number $(B)/fuzz/replay-number: FUZZ_WRAP += cli_usage_error
# Longer inputs come no further, or take long.
$(foreach t,log open stream,$(eval FUZZ_MAX_$(t) := 65536))
FUZZ_MAX_number := 128
FUZZ_MAX_when   := 80
FUZZ_MAX_state  := 512
FUZZ_MAX         = $(or $(FUZZ_MAX_$(T)),4096)
FUZZ_NEEDS = $(call objects,$(FUZZ_AID)) $(TEST_NEEDS)
# With what is to run it as $(1).
define link_fuzz
@mkdir -p $(@D)
$(call say,LD,$@)
$(Q)$(LINK) $(1) $(addprefix -Wl$(comma)--wrap=,$(FUZZ_WRAP)) -o $@ $^ -lcmocka $(TOOL_LIBS)
endef
define is_target
@test -f 'fuzz/$(T).c' || { echo 'T is one of: $(sort $(basename $(notdir $(FUZZ_SRC))))' >&2; exit 2; }
endef

.PHONY: fuzz afl fuzz-replay seeds
fuzz:                                           ## T=open SECONDS=60: libFuzzer on one target (needs clang)
	$(is_target)
	+@$(MAKE) --no-print-directory MODE=fuzz $(JOBS_FLAG) build/fuzz/fuzz/$(T)
	+@$(MAKE) --no-print-directory $(JOBS_FLAG) seeds
	@mkdir -p build/fuzz/corpus/$(T) build/fuzz/crash fuzz/corpus/$(T)
	build/fuzz/fuzz/$(T) -max_total_time=$(SECONDS) -runs=$(or $(RUNS),-1) -timeout=10 \
	  -rss_limit_mb=2048 -max_len=$(FUZZ_MAX) -print_final_stats=1 $(FUZZ_FLAGS) \
	  -artifact_prefix=build/fuzz/crash/$(T)- build/fuzz/corpus/$(T) fuzz/corpus/$(T) build/seeds/$(T)
build/fuzz/fuzz/% build/afl/fuzz/%: $(OBJ)/fuzz/%.o $(FUZZ_NEEDS)
	$(call link_fuzz,-fsanitize=fuzzer)

# AFL++ loads a target's mutator, where it has one, as a library; its own changes of such inputs
# would come no further than their checksums.
FUZZ_MUTATED := log open stream
afl_mutator   = $(if $(filter $(T),$(FUZZ_MUTATED)),build/release/fuzz/mutator-$(T).so)
AFL_ENV       = AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_UI=1 AFL_AUTORESUME=1 \
                $(if $(afl_mutator),AFL_CUSTOM_MUTATOR_LIBRARY='$(CURDIR)/$(afl_mutator)' AFL_CUSTOM_MUTATOR_ONLY=1)
afl:                                            ## the same with AFL++, which is installed if it is missing
	$(is_target)
	@tests/deps clang afl++
	+@$(MAKE) --no-print-directory MODE=afl $(JOBS_FLAG) build/afl/fuzz/$(T)
	+@$(MAKE) --no-print-directory $(JOBS_FLAG) seeds $(afl_mutator)
	@mkdir -p build/afl/in/$(T) build/afl/out/$(T) fuzz/corpus/$(T)
	@find build/seeds/$(T) fuzz/corpus/$(T) -type f -exec cp {} build/afl/in/$(T) \;
	$(AFL_ENV) afl-fuzz -V $(SECONDS) -m none -t 10000 -G $(FUZZ_MAX) -i build/afl/in/$(T) \
	  -o build/afl/out/$(T) -- build/afl/fuzz/$(T)
# Archives of the system's are not made for shared libraries.
$(B)/fuzz/mutator-%.so: TOOL_LIBS = -ljansson -lz $(LIB_LIBS)
$(B)/fuzz/mutator-%.so: $(OBJ)/fuzz/%.o $(OBJ)/fuzz/aid/afl.o $(OBJ)/fuzz/aid/mutate.o $(FUZZ_NEEDS)
	$(call link_fuzz,-shared)

seeds: all
	@$(TEST_ENV) python3 fuzz/seeds.py build/seeds

fuzz-replay: all $(REPLAYS)                     ## run each fuzz target over what is kept, without libFuzzer
	@$(TEST_ENV) tests/run fuzz/replay.bats
$(B)/fuzz/replay-%: $(OBJ)/fuzz/%.o $(OBJ)/fuzz/aid/replay.o $(OBJ)/fuzz/aid/mutate.o $(FUZZ_NEEDS)
	$(call link_fuzz)

# ---- installing -----------------------------------------------------------------------------

PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
MANDIR  ?= $(PREFIX)/share/man
DESTDIR ?=
VERSION  = $(shell sed -n 's/^\#define VDB_VERSION_STRING "\(.*\)"/\1/p' lib/vdb.h)

# bin and libexec stay side by side below PREFIX: a tool looks for its helper from where it stands.
.PHONY: install
install: all                                    ## PREFIX=/usr/local DESTDIR=
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/vdb $(DESTDIR)$(PREFIX)/include \
	  $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man3
	$(if $(BINS),install $(BINS) $(DESTDIR)$(PREFIX)/bin)
	$(if $(LIBEXECS),install $(LIBEXECS) $(DESTDIR)$(PREFIX)/libexec/vdb)
	install -m 644 lib/vdb.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(B)/libvdb.a $(DESTDIR)$(LIBDIR)
	install -m 755 $(B)/libvdb.so.0 $(DESTDIR)$(LIBDIR)
	ln -sf libvdb.so.0 $(DESTDIR)$(LIBDIR)/libvdb.so
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
	  lib/vdb.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/vdb.pc
	$(if $(MAN1),install -m 644 $(MAN1) $(DESTDIR)$(MANDIR)/man1)
	$(if $(MAN3),install -m 644 $(MAN3) $(DESTDIR)$(MANDIR)/man3)

.PHONY: help clean
help:                                           ## this list
	@awk -F' *## *' '/^[a-z][^$$:=]*:[^=]*##/ {sub(/:.*/, "", $$1); printf "%-32s %s\n", $$1, $$2}' Makefile
clean:                                          ## remove build/
	rm -rf build

-include $(shell find build/$(MODE) -name '*.d' 2>/dev/null)
