# Every fuzz_*.c is a libFuzzer target, linked with every library, its own first: smtpd and pop3d
# both have a session. BUILD=fuzz links libFuzzer's main(), so programs are not built with it.
ifeq ($(BUILD),fuzz)
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,$(OUT)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
OBJECTS      += $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard tests/fuzz/*.c)) $(OUT)/obj/tests/fuzz/pop3d_rig.o

$(OUT)/fuzz/fuzz_command $(OUT)/fuzz/fuzz_smtpd: FUZZ_FIRST = $(OUT)/lib/smtpd.a
$(OUT)/fuzz/fuzz_pop3: FUZZ_FIRST = $(OUT)/lib/pop3d.a
$(OUT)/fuzz/fuzz_pop3: $(OUT)/obj/tests/fuzz/pop3d_rig.o

# The rigs of the unit tests, with the fuzzer's idea of an assertion.
$(OUT)/obj/tests/fuzz/%.o: CPPFLAGS += -Itests/fuzz/rig
$(OUT)/obj/tests/fuzz/pop3d_rig.o: tests/unit/pop3d_rig.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(FUZZ_TARGETS): $(OUT)/fuzz/%: $(OUT)/obj/tests/fuzz/%.o $(LIBRARIES)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(FUZZ_FIRST) \
	    -Wl,--start-group $(LIBRARIES) -Wl,--end-group $(LDLIBS)

.PHONY: fuzz-targets
fuzz-targets: $(FUZZ_TARGETS)
endif
