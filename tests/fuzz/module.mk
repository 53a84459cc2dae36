# Every fuzz_*.c is a libFuzzer target, linked with util and the library it is about. BUILD=fuzz links libFuzzer's main(), so programs are not built with it.
ifeq ($(BUILD),fuzz)
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,$(OUT)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
OBJECTS      += $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard tests/fuzz/*.c)) $(OUT)/obj/tests/fuzz/pop3d_rig.o

$(OUT)/fuzz/fuzz_command $(OUT)/fuzz/fuzz_smtpd: $(call libraries_of,smtpd)
$(OUT)/fuzz/fuzz_pop3: $(OUT)/obj/tests/fuzz/pop3d_rig.o $(call libraries_of,pop3d)
$(OUT)/fuzz/fuzz_list: $(call libraries_of,local)
$(OUT)/fuzz/fuzz_sasl: $(call libraries_of,auth smtpd)

# The rigs of the unit tests, with the fuzzer's idea of an assertion.
$(OUT)/obj/tests/fuzz/%.o: CPPFLAGS += -Itests/fuzz/rig
$(OUT)/obj/tests/fuzz/pop3d_rig.o: tests/unit/pop3d_rig.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(FUZZ_TARGETS): $(OUT)/fuzz/%: $(OUT)/obj/tests/fuzz/%.o $(UTIL_LIBRARIES)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LINK_LIBRARIES)

.PHONY: fuzz-targets
fuzz-targets: $(FUZZ_TARGETS)
endif
