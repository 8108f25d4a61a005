# SPDX-License-Identifier: Apache-2.0
#
#   make                 the library (static and shared), the duramen command, the examples
#   make demo            one writer, four readers, on the package index of this machine
#   make test            all quick tests; TESTS="test_pin cli_test" runs only those
#   make test-slow       the quick ones with more rounds, and the slow ones
#   make soak SEED=1     random tests over and over, from that seed on; ROUNDS=10
#   make bench           builds and runs the comparison with other stores; BENCH_ARGS=
#   make bench-history   what history costs, beside what it may cost; BENCH_ARGS=
#   make bench-nested    what nesting costs, beside what it may cost; BENCH_ARGS=
#   make install         PREFIX=/usr/local DESTDIR=; make uninstall takes it away
#   make check-layers    no #include against the direction of the layers
#   make compile_commands.json, make clean
#
# SANITIZE=address,undefined or thread, DEBUG=1, CC=clang, WERROR=1, V=1 (show commands). Each compiler
# and sanitizer builds in a folder of its own below build/. Missing Debian packages are installed by
# mk/deps.sh; nothing is run while this file is read, so that a bare machine gets that far.

VERSION := 0.1.0
SOVERSION := 0

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man

# ---- Configuration: the folder's name tells what is different from the default ----

comma := ,
empty :=
space := $(empty) $(empty)
config := $(subst $(space),-,$(strip $(notdir $(firstword $(CC))) $(if $(DEBUG),debug) \
	$(subst $(comma),-,$(SANITIZE))))
B := build/$(config)

CFLAGS ?= $(if $(DEBUG),-O0 -g3,-O2 -g)
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wundef -Wvla $(if $(WERROR),-Werror)
ifneq ($(SANITIZE),)
SANITIZE_FLAGS := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
# gcc says with -Wtsan that it does not see fences; the code pairs each with atomics that it does see.
ifneq ($(findstring thread,$(SANITIZE))$(findstring clang,$(CC)),thread)
else
WARNINGS += -Wno-tsan
endif
endif
COMPILE = $(CC) -std=gnu11 -D_GNU_SOURCE $(CPPFLAGS) -Iinclude -I. $(WARNINGS) $(CFLAGS) \
	$(SANITIZE_FLAGS) -fPIC -fvisibility=hidden -pthread
LINK = $(CC) $(CFLAGS) $(SANITIZE_FLAGS) -pthread $(LDFLAGS)

CORE_LIBS := -luring -lxxhash -llz4
BENCH_LIBS := -llmdb -lsqlite3 -lrocksdb -lwiredtiger
CHECK_LIBS = $(shell pkg-config --libs check)

# ---- Sources ----

LIB_SRCS := $(sort $(wildcard $(foreach d,include/internal engine ipc prefixes model layers,$(d)/*.c)))
TOOL_SRCS := $(sort $(wildcard tools/*.c))
EXAMPLE_SRCS := $(sort $(wildcard examples/*.c))
DEMO_SRCS := $(sort $(wildcard examples/demo/*.c))
BENCH_SRCS := $(filter-out bench/limits.c,$(sort $(wildcard bench/*.c)))
BENCH_HISTORY_SRCS := $(sort $(wildcard bench/history/*.c)) bench/limits.c bench/driver_lmdb.c bench/place.c
BENCH_NESTED_SRCS := $(sort $(wildcard bench/nested/*.c)) bench/limits.c bench/place.c
# test_*.c and slow_*.c are test programs, prog_*.c programs that tests run, the rest is for all of them.
TEST_SRCS := $(sort $(wildcard tests/test_*.c))
SLOW_SRCS := $(sort $(wildcard tests/slow_*.c))
PROG_SRCS := $(sort $(wildcard tests/prog_*.c))
SUPPORT_SRCS := $(filter-out $(TEST_SRCS) $(SLOW_SRCS) $(PROG_SRCS),$(sort $(wildcard tests/*.c)))
ALL_SRCS := $(LIB_SRCS) $(TOOL_SRCS) $(EXAMPLE_SRCS) $(DEMO_SRCS) $(TEST_SRCS) $(SLOW_SRCS) \
	$(PROG_SRCS) $(SUPPORT_SRCS)

objects = $(patsubst %.c,$(B)/obj/%.o,$(1))
programs = $(patsubst $(1)/%.c,$(B)/$(2)/%,$(3))

EXAMPLES := $(call programs,examples,examples,$(EXAMPLE_SRCS))
DEMOS := $(call programs,examples/demo,demo,$(DEMO_SRCS))
TEST_PROGS := $(call programs,tests,tests,$(TEST_SRCS) $(PROG_SRCS))
SLOW_PROGS := $(call programs,tests,tests,$(SLOW_SRCS))

SHARED := $(B)/libduramen.so.$(VERSION)
STATIC := $(B)/libduramen.a

# ---- Targets ----

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all demo test test-slow soak bench bench-history bench-nested programs install uninstall clean check-layers \
	deps deps-test deps-bench FORCE

all: $(STATIC) $(B)/libduramen.so $(B)/duramen $(EXAMPLES)

demo: all $(DEMOS)
	$(Q)DURAMEN='$(abspath $(B))/duramen' DEMO_BIN='$(abspath $(B))/demo' examples/demo/run.sh

run_tests = SANITIZE='$(SANITIZE)' CC='$(CC)' SRC='$(CURDIR)' BUILD='$(abspath $(B))' tests/run.sh

test: all $(DEMOS) $(TEST_PROGS) $(B)/duramen-bench-history \
	$(B)/duramen-bench-nested
	$(Q)$(run_tests) quick $(TESTS)

test-slow: all $(DEMOS) $(TEST_PROGS) $(SLOW_PROGS) $(B)/duramen-bench-history \
	$(B)/duramen-bench-nested
	$(Q)DURAMEN_SLOW=1 $(run_tests) slow $(TESTS)

SEED ?= 1
ROUNDS ?= 10
soak: all $(DEMOS) $(TEST_PROGS) $(SLOW_PROGS) $(B)/duramen-bench-history \
	$(B)/duramen-bench-nested
	$(Q)DURAMEN_SLOW=1 SEED='$(SEED)' ROUNDS='$(ROUNDS)' $(run_tests) soak $(TESTS)

bench: $(B)/duramen-bench
	$(Q)$(B)/duramen-bench $(BENCH_ARGS)

bench-history: $(B)/duramen-bench-history
	$(Q)$(B)/duramen-bench-history $(BENCH_ARGS)

bench-nested: $(B)/duramen-bench-nested $(B)/duramen
	$(Q)$(B)/duramen-bench-nested $(BENCH_ARGS)

# Every program, for those who only want to know that it builds.
programs: all $(DEMOS) $(TEST_PROGS) $(SLOW_PROGS) $(B)/duramen-bench-history \
	$(B)/duramen-bench-nested

check-layers:
	$(Q)tests/check_layers

clean:
	rm -rf build compile_commands.json

deps:
	$(Q)mk/deps.sh build
deps-test: | deps
	$(Q)mk/deps.sh test
deps-bench: | deps
	$(Q)mk/deps.sh bench

# ---- Rules ----

Q := $(if $(V),,@)
say = $(if $(V),,@echo '  $(1)	$(patsubst $(B)/%,%,$@)')

# A file that changes when its text does: what depends on it is made anew after a change of flags, or
# after a source file came or went.
define stamp
$(B)/$(1): FORCE
	@mkdir -p $$(@D); echo '$(2)' | cmp -s - $$@ || echo '$(2)' > $$@
endef
$(eval $(call stamp,flags,$(COMPILE)))
$(eval $(call stamp,sources,$(LIB_SRCS) $(SUPPORT_SRCS) $(TOOL_SRCS)))
FORCE:

$(B)/obj/%.o: %.c $(B)/flags | deps
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

$(call objects,$(TEST_SRCS) $(SLOW_SRCS) $(PROG_SRCS) $(SUPPORT_SRCS)): | deps-test
$(call objects,$(filter-out $(BENCH_HISTORY_SRCS),$(BENCH_SRCS))): | deps-bench
$(call objects,$(BENCH_HISTORY_SRCS) $(BENCH_NESTED_SRCS)): | deps-test

define archive
	$(call say,AR)
	@rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)
endef

# Hidden symbols become local here, so that a program may use any name that does not begin with dur_.
$(B)/duramen.o: $(call objects,$(LIB_SRCS)) $(B)/sources
	$(call say,LD)
	$(Q)$(LD) -r -o $@ $(filter %.o,$^)
	$(Q)objcopy --localize-hidden $@
$(STATIC): $(B)/duramen.o
	$(archive)

$(SHARED): $(call objects,$(LIB_SRCS)) $(B)/sources duramen.map
	$(call say,LD)
	$(Q)$(LINK) -shared -o $@ $(filter %.o,$^) -Wl,-soname,libduramen.so.$(SOVERSION) \
		-Wl,--version-script=duramen.map $(if $(SANITIZE),,-Wl$(comma)-z$(comma)defs) \
		-Wl,--as-needed $(CORE_LIBS)
$(B)/libduramen.so: $(SHARED)
	@ln -sf $(<F) $(B)/libduramen.so.$(SOVERSION)
	@ln -sf libduramen.so.$(SOVERSION) $@

# Tests reach inside: this archive keeps the hidden symbols.
$(B)/internal.a: $(call objects,$(LIB_SRCS)) $(B)/sources
	$(archive)
$(B)/support.a: $(call objects,$(SUPPORT_SRCS)) $(B)/sources
	$(archive)
$(B)/tools.a: $(call objects,$(filter-out tools/duramen.c,$(TOOL_SRCS))) $(B)/sources
	$(archive)

define program
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(CORE_LIBS) $(1)
endef

$(B)/duramen: $(call objects,$(TOOL_SRCS)) $(STATIC)
	$(call program)
$(EXAMPLES): $(B)/examples/%: $(B)/obj/examples/%.o $(STATIC)
	$(call program)
$(DEMOS): $(B)/demo/%: $(B)/obj/examples/demo/%.o $(STATIC)
	$(call program)
$(TEST_PROGS) $(SLOW_PROGS): $(B)/tests/%: $(B)/obj/tests/%.o $(B)/support.a $(B)/tools.a $(B)/internal.a
	$(call program,$(CHECK_LIBS))
$(B)/duramen-bench: $(call objects,$(BENCH_SRCS)) $(STATIC)
	$(call program,$(BENCH_LIBS) -lm)
$(B)/duramen-bench-nested: $(call objects,$(BENCH_NESTED_SRCS)) $(B)/tools.a $(STATIC)
	$(call program,-ljansson)
$(B)/duramen-bench-history: $(call objects,$(BENCH_HISTORY_SRCS)) $(STATIC)
	$(call program,-llmdb)

compile_commands.json: Makefile FORCE
	@{ sep='['; for f in $(ALL_SRCS) $(sort $(BENCH_SRCS) $(BENCH_HISTORY_SRCS) $(BENCH_NESTED_SRCS)); do \
		printf '%s\n{"directory": "%s", "file": "%s", "command": "%s -c %s"}' \
			"$$sep" '$(CURDIR)' "$$f" '$(COMPILE)' "$$f"; sep=','; \
	done; echo ']'; } > $@

# ---- Installation ----

I = $(DESTDIR)
install: all
	install -d $(I)$(BINDIR) $(I)$(LIBDIR)/pkgconfig $(I)$(INCLUDEDIR) $(I)$(MANDIR)/man1
	install -m 755 $(B)/duramen $(I)$(BINDIR)/duramen
	install -m 644 include/duramen.h $(I)$(INCLUDEDIR)/duramen.h
	install -m 644 $(STATIC) $(I)$(LIBDIR)/libduramen.a
	install -m 755 $(SHARED) $(I)$(LIBDIR)/$(notdir $(SHARED))
	ln -sf $(notdir $(SHARED)) $(I)$(LIBDIR)/libduramen.so.$(SOVERSION)
	ln -sf libduramen.so.$(SOVERSION) $(I)$(LIBDIR)/libduramen.so
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@VERSION@|$(VERSION)|; s|@CORE_LIBS@|$(CORE_LIBS)|' mk/duramen.pc.in \
		> $(I)$(LIBDIR)/pkgconfig/duramen.pc
	install -m 644 tools/duramen.1 $(I)$(MANDIR)/man1/duramen.1

uninstall:
	rm -f $(I)$(BINDIR)/duramen $(I)$(INCLUDEDIR)/duramen.h $(I)$(LIBDIR)/libduramen.a \
		$(I)$(LIBDIR)/$(notdir $(SHARED)) $(I)$(LIBDIR)/libduramen.so.$(SOVERSION) \
		$(I)$(LIBDIR)/libduramen.so $(I)$(LIBDIR)/pkgconfig/duramen.pc \
		$(I)$(MANDIR)/man1/duramen.1

-include $(patsubst %.o,%.d,$(call objects,$(ALL_SRCS) $(sort $(BENCH_SRCS) $(BENCH_HISTORY_SRCS) $(BENCH_NESTED_SRCS))))
