# Fuzzing: each fuzz/<name>.c is one harness.
#
# make fuzz                       build all harnesses for libFuzzer (clang, ASan and UBSan)
# make fuzz-<name> [SECONDS=60 JOBS=2]   run one; new inputs are kept in build-fuzz/work/<name>
# make fuzz-regress               replay every corpus through its harness, with gcc
# make fuzz-cover [UPDATE=1]      which lines of the parsers the corpora reach; none may get fewer
# make fuzz-selftest              five planted bugs, each found within 60 s
# make fuzz-seeds                 seeds out of the captures of the scenario suite

SECONDS ?= 60
JOBS ?= 2

FUZZ_NAMES := $(patsubst fuzz/%.c,%,$(filter-out fuzz/replay.c,$(sort $(wildcard fuzz/*.c))))
FUZZ_BUILD ?= build-fuzz
FUZZ_MAKE = $(MAKE) --no-print-directory CC=clang VARIANT= BUILD=$(FUZZ_BUILD) FUZZ_MAIN= \
	CFLAGS="$(CFLAGS) -DSIMRTC_FUZZ_TIMED" \
	OPTIMIZE="-O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all" LDFLAGS=-fsanitize=fuzzer

# What holds main() when libFuzzer does not.
FUZZ_MAIN ?= $(BUILD)/fuzz/replay.o
FUZZ_BINS := $(addprefix $(BUILD)/fuzz/,$(FUZZ_NAMES))

.PHONY: fuzz fuzz-programs fuzz-regress $(addprefix fuzz-,$(FUZZ_NAMES))
fuzz:
	+@$(FUZZ_MAKE) fuzz-programs

fuzz-programs: $(FUZZ_BINS)

# What harnesses share.
LIB_FUZZ := $(BUILD)/libsimrtc-fuzz.a
$(eval $(call library,$(LIB_FUZZ),$(filter-out fuzz/kit/seeds.c,$(wildcard fuzz/kit/*.c))))
LINKS_fuzz := $(LIB_FUZZ) $(LINKS_scenarios)

# Engines that are no part of the compiler may want another linker: see oss-fuzz/build.sh.
FUZZ_LINK ?= $(CC)

# What a harness links is decided by the objects that it asks for: one list does for all.
$(BUILD)/fuzz/%: $(BUILD)/fuzz/%.o $(FUZZ_MAIN) $(filter $(BUILD)/%.a,$(LINKS_fuzz))
	$(call say,link    $@)
	$(Q)$(FUZZ_LINK) $(OPTIMIZE) -o $@ $< $(FUZZ_MAIN) $(LINKS_fuzz) $(LDFLAGS)

# What takes seeds out of captures: see ci/fuzz-seeds.
$(BUILD)/fuzz/kit/seeds: $(BUILD)/fuzz/kit/seeds.o $(filter $(BUILD)/%.a,$(LINKS_fuzz))
	$(call say,link    $@)
	$(Q)$(CC) $(OPTIMIZE) -o $@ $< $(LINKS_fuzz) $(LDFLAGS)

$(addprefix fuzz-,$(FUZZ_NAMES)): fuzz-%:
	+@$(FUZZ_MAKE) $(FUZZ_BUILD)/fuzz/$*
	@ci/fuzz $(FUZZ_BUILD) $* $(SECONDS) $(JOBS)

REGRESS_BUILD ?= build-asan
fuzz-regress:
	@$(MAKE) --no-print-directory -s VARIANT=asan BUILD=$(REGRESS_BUILD) fuzz-programs
	@ci/fuzz-regress $(REGRESS_BUILD)

# Profiles know a static function by its name and that of its file, without the folder: there are
# two sdp.c. The whole path makes them two.
COVER_BUILD ?= build-cover
.PHONY: fuzz-cover
fuzz-cover:
	+@$(MAKE) --no-print-directory CC=clang VARIANT= BUILD=$(COVER_BUILD) LDFLAGS= \
		OPTIMIZE="-O1 -g -fsanitize=address -fprofile-instr-generate -fcoverage-mapping" \
		CFLAGS='$(CFLAGS) -Xclang -main-file-name -Xclang $$<' fuzz-programs
	@ci/fuzz-cover $(COVER_BUILD) $(if $(UPDATE),--update)

# Five bugs of known classes, each in a copy of a file that it is planted in (fuzz/plants), and found.
.PHONY: fuzz-selftest fuzz-plant
fuzz-selftest:
	+@$(FUZZ_MAKE) fuzz-programs
	+@MAKE="$(MAKE)" ci/fuzz-selftest $(FUZZ_BUILD)

# For ci/fuzz-selftest: PLANT, whose copy is there, in HARNESS.
PLANT_AT = $(BUILD)/plants/$(PLANT)
fuzz-plant: $(BUILD)/fuzz/$(HARNESS).o $(filter $(BUILD)/%.a,$(LINKS_fuzz))
	$(Q)$(CC) $(CFLAGS_ALL) -DSIMRTC_PLANT -c -o $(PLANT_AT)/copy.o $(PLANT_AT)/copy.c
	$(Q)$(CC) $(OPTIMIZE) -o $(PLANT_AT)/$(HARNESS) $< $(PLANT_AT)/copy.o $(LINKS_fuzz) $(LDFLAGS)
fuzz-planted:
	+@$(FUZZ_MAKE) PLANT=$(PLANT) HARNESS=$(HARNESS) fuzz-plant

.PHONY: fuzz-planted fuzz-seeds
SUITE ?= $(BUILD)/suite
fuzz-seeds: fuzz $(BUILD)/fuzz/kit/seeds
	@ci/fuzz-seeds $(FUZZ_BUILD) $(BUILD) $(SUITE)
