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
            -DVEREDUS_VERSION='"$(VERSION)"' -DVEREDUS_LIBEXEC='"$(PREFIX)/libexec/veredus"'
ALL_CFLAGS  = -std=c11 $(WARNINGS) $(HARDENING) $(CFLAGS_$(BUILD)) $(CFLAGS) -pthread
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed -pthread $(LDFLAGS_$(BUILD)) $(LDFLAGS)
LDLIBS      = -levent_core -lconfuse -ldb-5.3 -lcrypt -lseccomp -lbsd -lcrypto

VERSION := $(shell cat VERSION)

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

# $(call program,FOLDER,NAME): FOLDER/main.c, linked with every library, becomes NAME.
define program
PROGRAMS += $(OUT)/$(2)
OBJECTS  += $(OUT)/obj/$(1)/main.o
$(OUT)/$(2): $(OUT)/obj/$(1)/main.o
endef

include $(sort $(wildcard */module.mk util/*/module.mk tests/*/module.mk))

.PHONY: all
all: $(PROGRAMS)

$(OUT)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(LIBRARIES):
	@mkdir -p $(@D)
	@rm -f $@
	ar rcs $@ $^

$(PROGRAMS): $(LIBRARIES)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(LIBRARIES) -Wl,--end-group $(LDLIBS)

-include $(OBJECTS:.o=.d)

.PHONY: clean
clean:
	rm -rf build instance compile_commands.json
