# Every test_FOLDER_*.c is a cmocka program of its own, linked with the library of its folder; the others
# with util alone.
UNIT_TESTS := $(patsubst tests/unit/%.c,$(OUT)/tests/unit/%,$(wildcard tests/unit/test_*.c))
OBJECTS    += $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard tests/unit/*.c))

$(UNIT_TESTS): $(OUT)/tests/unit/%: $(OUT)/obj/tests/unit/%.o $(UTIL_LIBRARIES)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LINK_LIBRARIES) -lcmocka

tests_of = $(filter $(OUT)/tests/unit/test_$(1)_%,$(UNIT_TESTS))
$(foreach folder,master smtpd qmgr local pop3d auth lookup ctl,\
    $(eval $(call tests_of,$(folder)): $(call libraries_of,$(folder))))

# What several tests of one module share.
$(filter $(OUT)/tests/unit/test_spool_%,$(UNIT_TESTS)): $(OUT)/obj/tests/unit/spool_rig.o
$(filter $(OUT)/tests/unit/test_qmgr_flow $(OUT)/tests/unit/test_qmgr_takeover $(OUT)/tests/unit/test_qmgr_forged $(OUT)/tests/unit/test_qmgr_runs $(OUT)/tests/unit/test_qmgr_faults,$(UNIT_TESTS)): $(OUT)/obj/tests/unit/qmgr_rig.o
$(filter $(OUT)/tests/unit/test_tls_% $(OUT)/tests/unit/test_smtpd_matrix,$(UNIT_TESTS)): $(OUT)/obj/tests/unit/tls_rig.o
$(filter $(OUT)/tests/unit/test_ctl_%,$(UNIT_TESTS)): $(OUT)/obj/tests/unit/ctl_rig.o
$(filter $(OUT)/tests/unit/test_pop3d_%,$(UNIT_TESTS)): $(OUT)/obj/tests/unit/pop3d_rig.o
$(filter $(OUT)/tests/unit/test_auth_attempt $(OUT)/tests/unit/test_auth_daemon $(OUT)/tests/unit/test_auth_s% $(OUT)/tests/unit/test_lookup_% $(OUT)/tests/unit/test_access_table,$(UNIT_TESTS)): $(OUT)/obj/tests/unit/table_rig.o
$(filter $(OUT)/tests/unit/test_auth_daemon $(OUT)/tests/unit/test_auth_s% $(OUT)/tests/unit/test_ctl_user,$(UNIT_TESTS)): $(OUT)/obj/tests/unit/scram_rig.o
$(filter $(OUT)/tests/unit/test_auth_daemon $(OUT)/tests/unit/test_lookup_daemon $(OUT)/tests/unit/test_lookup_policy $(OUT)/tests/unit/test_local_forged $(OUT)/tests/unit/test_smtpd_daemon,$(UNIT_TESTS)): $(OUT)/obj/tests/unit/daemon_rig.o
$(OUT)/tests/unit/test_lookup_daemon $(OUT)/tests/unit/test_lookup_policy: $(OUT)/obj/tests/unit/lookup_rig.o
$(filter $(OUT)/tests/unit/test_dns% $(OUT)/tests/unit/test_smtpd_checks $(OUT)/tests/unit/test_smtpd_client_name $(OUT)/tests/unit/test_smtpd_dns_list $(OUT)/tests/unit/test_smtpd_sender_domain,$(UNIT_TESTS)): $(OUT)/obj/tests/unit/dns_rig.o
$(OUT)/tests/unit/test_master_run $(OUT)/tests/unit/test_master_reload: $(OUT)/obj/tests/unit/master_rig.o

.PHONY: unit-tests
unit-tests: $(UNIT_TESTS)
