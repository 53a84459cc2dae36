# Veredus: one non-recursive Makefile. Each folder says in its module.mk what it is made of.
#
#   make            the release build; the command is build/veredus
#   make BUILD=asan the build the tests run under (address and undefined-behaviour sanitizers)
#   make test       install what is missing, build, run every test
#   make run        build, make ./instance, serve it in the foreground
#   make help       the other targets

BUILD  ?= release
CC     ?= gcc
PREFIX ?= /usr/local
DESTDIR ?=

OUT_release = build
OUT_asan    = build/asan
OUT_fuzz    = build/fuzz
OUT_clang   = build/clang
OUT ?= $(OUT_$(BUILD))

ifeq ($(BUILD),fuzz)
CC = clang
endif
ifeq ($(BUILD),clang)
CC = clang
endif
ifeq ($(origin CC),default)
CC = gcc
endif

WARNINGS  = -Wall -Wextra -Wconversion -Wshadow -Wvla -Wswitch-enum -Werror -Wpointer-arith \
            -Wstrict-prototypes -Wmissing-prototypes -Wformat=2
HARDENING = -fPIE -fstack-protector-strong -fstack-clash-protection
CFLAGS_release = -O2 -g -D_FORTIFY_SOURCE=2 -fno-plt
CFLAGS_clang   = $(CFLAGS_release)
CFLAGS_asan    = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
                 -fno-sanitize-recover=all -DVEREDUS_SANITIZED=1
CFLAGS_fuzz    = -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
                 -fno-sanitize-recover=all -DVEREDUS_SANITIZED=1
LDFLAGS_asan   = -fsanitize=address,undefined
LDFLAGS_fuzz   = -fsanitize=fuzzer,address,undefined

CPPFLAGS += -I. -D_GNU_SOURCE -DOPENSSL_API_COMPAT=30000 -DOPENSSL_NO_DEPRECATED \
            -DVEREDUS_VERSION='"$(VERSION)"'
ALL_CFLAGS  = -std=c11 $(WARNINGS) $(HARDENING) $(CFLAGS_$(BUILD)) $(CFLAGS) -pthread
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed -pthread $(LDFLAGS_$(BUILD)) $(LDFLAGS)
LDLIBS      = -levent_core -lconfuse -ldb-5.3 -lcrypt -lseccomp -lbsd -lgsasl -lssl -lcrypto -lcares -lidn2

VERSION := $(shell cat VERSION)

# make V=1 shows every command.
Q  = $(if $(V),,@)
say = $(if $(V),,@printf '  %-4s %s\n' $(1) '$(2)')

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

LIBRARIES :=
PROGRAMS  :=
OBJECTS   :=

# $(call library,FOLDER): every .c of the folder but main.c becomes FOLDER's archive.
define library
LIBRARIES += $(OUT)/lib/$(subst /,-,$(1)).a
OBJECTS   += $(patsubst %.c,$(OUT)/obj/%.o,$(filter-out %/main.c,$(wildcard $(1)/*.c)))
$(OUT)/lib/$(subst /,-,$(1)).a: $(patsubst %.c,$(OUT)/obj/%.o,$(filter-out %/main.c,$(wildcard $(1)/*.c)))
endef

# $(call program,FOLDER,NAME): FOLDER/main.c, linked with the folder's library, those of ALSO_FOLDER and
# util's, becomes NAME.
define program
PROGRAMS += $(OUT)/$(2)
OBJECTS  += $(OUT)/obj/$(1)/main.o
$(OUT)/$(2): $(OUT)/obj/$(1)/main.o $(call libraries_of,$(1))
endef

# pop3d reads the list of a mailbox in local's form.
ALSO_pop3d = local
libraries_of = $(patsubst %,$(OUT)/lib/%.a,$(1) $(ALSO_$(1)))
UTIL_LIBRARIES = $(filter $(OUT)/lib/util-%,$(LIBRARIES))

# What every link line ends in: the libraries among the prerequisites, then the system's.
LINK_LIBRARIES = -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)

# The tests come last: their rules name every library.
include $(sort $(wildcard */module.mk util/*/module.mk)) $(sort $(wildcard tests/*/module.mk))

.PHONY: all
all: $(PROGRAMS)

$(OUT)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(LIBRARIES):
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(PROGRAMS): $(UTIL_LIBRARIES)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LINK_LIBRARIES)

-include $(OBJECTS:.o=.d)

# ---- what people and CI call ----

.PHONY: help
help:
	@echo 'make            build the release; the command is build/veredus'
	@echo 'make run        build, make ./instance, serve it in the foreground'
	@echo 'make test       install what is missing, build, run every test'
	@echo 'make bench      compare with Postfix in one run (root)'
	@echo 'make fuzz       every fuzz target for FUZZ_SECONDS (60)'
	@echo 'make lint       format, layers, metrics, clang-tidy, cppcheck, gcc and clang'
	@echo 'make metrics    the numbers the tree is held to'
	@echo 'make install    into $$(DESTDIR)$$(PREFIX)'
	@echo 'make clean'

.PHONY: deps
deps:
	@tools/deps build

.PHONY: run
run: deps
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@tools/run-instance $(OUT)/veredus instance

.PHONY: test
test:
	@tools/deps test
	@tests/run

.PHONY: bench
bench:
	@tools/deps bench
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@tests/bench/bench.py $(BENCH)

.PHONY: fuzz
fuzz:
	@tools/deps fuzz
	@$(MAKE) --no-print-directory -s -j$$(nproc) BUILD=fuzz fuzz-targets
	@tests/fuzz/run build/fuzz $(or $(FUZZ_SECONDS),60)

.PHONY: metrics
metrics:
	@tools/deps lint
	@tools/metrics

C_FILES = $(sort $(shell git ls-files '*.c'))
H_FILES = $(sort $(shell git ls-files '*.h'))

.PHONY: lint
lint:
	@tools/deps lint
	@tools/layers
	@clang-format --dry-run -Werror $(C_FILES) $(H_FILES) && echo 'clang-format: clean'
	@tools/metrics --check
	@$(MAKE) --no-print-directory -s -j$$(nproc) all unit-tests && echo 'gcc: clean'
	@tools/manual
	@$(MAKE) --no-print-directory -s -j$$(nproc) BUILD=clang all unit-tests && echo 'clang: clean'
	@cppcheck -q --std=c11 --error-exitcode=1 --inline-suppr --suppress=missingIncludeSystem \
	    --suppress=uninitvar --suppress=returnDanglingLifetime --suppress=nullPointerRedundantCheck \
	    --include=tools/cppcheck.h --enable=warning,portability -j$$(nproc) -I. -D_GNU_SOURCE \
	    $(filter-out tests/%,$(C_FILES)) && echo 'cppcheck: clean'
	@clang-tidy --quiet $(filter-out tests/%,$(C_FILES)) -- -std=c11 $(CPPFLAGS) 2>/dev/null \
	    && echo 'clang-tidy: clean'

.PHONY: install
install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/libexec/veredus
	install -m 755 $(OUT)/veredus $(DESTDIR)$(PREFIX)/sbin/veredus
	for program in $(filter veredus-%,$(notdir $(PROGRAMS))); do \
	    install -m 755 $(OUT)/$$program $(DESTDIR)$(PREFIX)/libexec/veredus/$$program || exit 1; \
	done
	install -d $(DESTDIR)$(PREFIX)/share/doc/veredus $(DESTDIR)$(PREFIX)/share/man/man5 \
	    $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 README.md LICENSE doc/*.md conf/veredus.conf $(DESTDIR)$(PREFIX)/share/doc/veredus
	install -m 644 doc/veredus.8 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 doc/veredus.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -d $(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 644 conf/veredus.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/veredus.conf
	sed 's,/usr/local/,$(PREFIX)/,' conf/veredus.service \
	    > $(DESTDIR)$(PREFIX)/lib/systemd/system/veredus.service

compile_commands.json: Makefile
	@printf '[\n%s\n]\n' "$$(for f in $(C_FILES); do \
	    printf '{"directory":"%s","file":"%s","command":"%s"},\n' "$(CURDIR)" "$$f" \
	    '$(CC) -std=c11 $(subst ",\",$(CPPFLAGS)) -c '"$$f"; done | sed '$$ s/,$$//')" > $@

.PHONY: clean
clean:
	rm -rf build instance compile_commands.json
