# tarn: PGXS build.
#
#   make && make install          for the server that pg_config names (or PG_CONFIG=...)
#   make installcheck             pg_regress and TAP against the installed extension
#   make check-unit check-floors check-fuzz    what needs no server

MODULE_big = tarn
EXTENSION = tarn
DATA = tarn--1.0.sql
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

REGRESS = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
ifneq ($(wildcard test/t/*.pl),)
TAP_TESTS = 1
PROVE_TESTS ?= test/t/*.pl
endif

# -MMD: a touched header rebuilds what includes it; PGXS alone would not.
PG_CPPFLAGS = -I$(srcdir)/src -MMD -MP
# make FAILPOINTS=1: places where tests make a process die or hang (src/base/failpoint.h)
ifdef FAILPOINTS
PG_CPPFLAGS += -DTARN_FAILPOINTS
endif
# Calls between our own files need no detour through the symbol table.
SHLIB_LINK = -Wl,-Bsymbolic-functions -lcurl -lcrypto -lzstd -llz4 -lsnappy -lz -lbrotlienc -lbrotlidec

PG_CONFIG ?= pg_config
# No bitcode: nothing here is worth inlining into jitted expressions.
override with_llvm = no
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# The server's flags are those of the compiler it was built with.
ifneq ($(findstring clang,$(CC)),)
override CFLAGS := $(filter-out -fexcess-precision=standard -Wimplicit-fallthrough=3 \
	-Wno-format-truncation -Wno-stringop-truncation,$(CFLAGS)) \
	-Wno-ignored-attributes -Wno-unknown-warning-option
else ifneq ($(shell $(CC) -Wmissing-variable-declarations -E -x c /dev/null 2>&1 >/dev/null),)
override CFLAGS := $(filter-out -Wmissing-variable-declarations,$(CFLAGS))
endif

# Loops over columns gain from the vectoriser.
src/codec/%.o src/column/%.o src/parquet/%.o src/vector/%.o: override CFLAGS += -O3

-include $(OBJS:.o=.d)

clean: clean-more

clean-more:
	rm -f $(OBJS:.o=.d)
	rm -rf test/unit/build test/fuzz/build

check-unit:
	$(MAKE) -C test/unit check

check-unit-sanitize:
	$(MAKE) -C test/unit check SANITIZE=1

check-floors:
	$(srcdir)/script/check-floors

check-fuzz:
	$(MAKE) -C test/fuzz corpus
	$(MAKE) -C test/fuzz smoke

.PHONY: clean-more check-unit check-unit-sanitize check-floors check-fuzz
