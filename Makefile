# make demo   install what is missing, build, run the scenario suite, print where the report is
# make test   everything: dependencies, build, unit tests, suite, determinism, second opinions
# make bench  the figures; make determinism, make tidy, make unit: parts of make test
#
# VARIANT=asan builds with ASan and UBSan into build-asan; CC=clang BUILD=build-clang works too.
# A line for each file that is compiled; V=1 shows the commands, -s nothing.

VARIANT ?=
BUILD ?= build$(if $(VARIANT),-$(VARIANT))
CC = gcc
CSTD := -std=c17 -D_POSIX_C_SOURCE=200809L
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wundef -Wvla -Wwrite-strings -Wcast-align -Werror
OPTIMIZE := -O2 -g
ifeq ($(VARIANT),asan)
OPTIMIZE := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
endif
CFLAGS_ALL = $(CSTD) $(WARNINGS) $(OPTIMIZE) -ffp-contract=off -I. -isystem /usr/include/libxml2 -MMD -MP $(CFLAGS)

Q := $(if $(V),,@)
say = $(if $(V)$(findstring s,$(firstword -$(MAKEFLAGS))),,@echo "$(1)")

# usrsctp is linked statically, so that its clock, timers and chance can be taken over.
SCTP_WRAP := -Wl,--wrap=read_random,--wrap=sctp_os_timer_start,--wrap=sctp_os_timer_stop \
	-Wl,--wrap=sctp_userspace_thread_create,--wrap=getifaddrs,--wrap=sctp_init_sysctls
STACK_LIBS := $(SCTP_WRAP) -l:libusrsctp.a -lsrtp2 -lssl -lcrypto -logg -lpthread
REPORT_LIBS := -ljansson -lxml2
ALL_LIBS := $(STACK_LIBS) -lopus -lvpx -lpcap -lyaml $(REPORT_LIBS)

sources = $(sort $(filter-out %_test.c %_bench.c,$(wildcard $(1))))
BASE := $(call sources,base/*.c)
STACK := $(call sources,stack/*/*.c)
SIMNET := $(call sources,simnet/*.c)
REPORTS := $(call sources,reports/*.c)
MAIN := scenarios/runner/cli/main.c
SCENARIOS := $(filter-out $(MAIN),$(call sources,scenarios/runner/*/*.c))
TESTS := $(sort $(wildcard base/*_test.c stack/*/*_test.c simnet/*_test.c reports/*_test.c \
	scenarios/runner/*/*_test.c))
BENCHES := $(sort $(wildcard stack/*/*_bench.c simnet/*_bench.c scenarios/runner/*/*_bench.c))

objects = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIB_BASE := $(BUILD)/libsimrtc-base.a
LIB_STACK := $(BUILD)/libsimrtc-stack.a
LIB_SIMNET := $(BUILD)/libsimrtc-simnet.a
LIB_REPORTS := $(BUILD)/libsimrtc-reports.a
LIB_SCENARIOS := $(BUILD)/libsimrtc-scenarios.a
TEST_BINS := $(patsubst %.c,$(BUILD)/%,$(TESTS))
BENCH_BINS := $(patsubst %.c,$(BUILD)/%,$(BENCHES))

.PHONY: all demo test unit suite determinism tidy bench deps clean test-programs live-deps live-deps-all live live-all
all: $(BUILD)/simrtc

deps:
	@ci/deps

demo:
	@ci/deps build
	@$(MAKE) --no-print-directory -j$(shell nproc) all
	@ci/demo

test: deps
	@ci/test

test-programs: $(TEST_BINS)

unit: $(TEST_BINS)
	@ci/unit $(BUILD)

suite: all
	@$(BUILD)/simrtc run scenarios --out $(BUILD)/suite

determinism:
	@ci/determinism

tidy:
	@ci/tidy

bench: all $(BENCH_BINS)
	@ci/bench $(BUILD)

# Live mode: what its peers need, the small ones or all; its own tests; and every stack with every other.
live-deps:
	@ci/live-deps

live-deps-all:
	@ci/live-deps all

live: all
	@ci/live

live-all: live-deps-all all
	@failed=0; \
	$(BUILD)/simrtc live scenarios/live --jobs 4 --out $(BUILD)/live || failed=1; \
	ci/live || failed=1; \
	$(BUILD)/simrtc live --matrix peers scenarios/live --jobs 4 --out $(BUILD)/live-matrix || failed=1; \
	exit $$failed

clean:
	rm -rf build build-* simrtc-out

$(BUILD)/simrtc: $(MAIN:%.c=$(BUILD)/%.o) $(LIB_SCENARIOS) $(LIB_REPORTS) $(LIB_SIMNET) \
		$(LIB_STACK) $(LIB_BASE)
	$(call say,link    $@)
	$(Q)$(CC) $(OPTIMIZE) -o $@ $^ $(ALL_LIBS) $(LDFLAGS)

define library
$(1): $(call objects,$(2))
	@rm -f $$@
	@ar rcs $$@ $$^
endef
$(eval $(call library,$(LIB_BASE),$(BASE)))
$(eval $(call library,$(LIB_STACK),$(STACK)))
$(eval $(call library,$(LIB_SIMNET),$(SIMNET)))
$(eval $(call library,$(LIB_REPORTS),$(REPORTS)))
$(eval $(call library,$(LIB_SCENARIOS),$(SCENARIOS)))

# A test or bench links no more than its folder may know: the arrows hold at link time too.
LINKS_base := $(LIB_BASE)
LINKS_stack := $(LIB_STACK) $(LIB_BASE) $(STACK_LIBS)
LINKS_simnet := $(LIB_SIMNET) $(LIB_BASE) -lpcap
LINKS_reports := $(LIB_REPORTS) $(LIB_BASE) $(REPORT_LIBS)
LINKS_scenarios := $(LIB_SCENARIOS) $(LIB_REPORTS) $(LIB_SIMNET) $(LIB_STACK) $(LIB_BASE) $(ALL_LIBS)
define program
$(BUILD)/$(1)/%: $(BUILD)/$(1)/%.o $(filter $(BUILD)/%.a,$(LINKS_$(1)))
	$$(call say,link    $$@)
	$$(Q)$(CC) $(OPTIMIZE) -o $$@ $$< $(LINKS_$(1)) -lcmocka $(LDFLAGS)
endef
$(foreach folder,base stack simnet reports scenarios,$(eval $(call program,$(folder))))

include fuzz/fuzz.mk

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,compile $<)
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
