# Every test_*.c is a cmocka program of its own, linked with every library.
UNIT_TESTS := $(patsubst tests/unit/%.c,$(OUT)/tests/unit/%,$(wildcard tests/unit/test_*.c))
OBJECTS    += $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard tests/unit/*.c))

$(UNIT_TESTS): $(OUT)/tests/unit/%: $(OUT)/obj/tests/unit/%.o $(LIBRARIES)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(LIBRARIES) -Wl,--end-group $(LDLIBS) -lcmocka

# What several tests of one module share.
$(filter $(OUT)/tests/unit/test_spool_%,$(UNIT_TESTS)): $(OUT)/obj/tests/unit/spool_rig.o
$(filter $(OUT)/tests/unit/test_ctl_%,$(UNIT_TESTS)): $(OUT)/obj/tests/unit/ctl_rig.o
$(filter $(OUT)/tests/unit/test_pop3d_%,$(UNIT_TESTS)): $(OUT)/obj/tests/unit/pop3d_rig.o
$(filter $(OUT)/tests/unit/test_auth_attempt $(OUT)/tests/unit/test_auth_daemon $(OUT)/tests/unit/test_lookup_%,$(UNIT_TESTS)): $(OUT)/obj/tests/unit/table_rig.o
$(filter $(OUT)/tests/unit/test_auth_daemon $(OUT)/tests/unit/test_lookup_daemon,$(UNIT_TESTS)): $(OUT)/obj/tests/unit/daemon_rig.o
$(OUT)/tests/unit/test_master_run $(OUT)/tests/unit/test_master_reload: $(OUT)/obj/tests/unit/master_rig.o

.PHONY: unit-tests
unit-tests: $(UNIT_TESTS)
