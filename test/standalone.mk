# What unit tests and fuzzers share: the rooms that build without the server,
# compiled against test/shim into one archive.
#
#   ROOMS='base codec'   build only these (default: all that are there)
#   OUT=dir              where objects go

TOP := $(realpath $(dir $(lastword $(MAKEFILE_LIST)))..)
ROOMS ?= base codec column store avro iceberg parquet vector keyindex wire

SOURCES_base = $(filter-out %/privileged.c %/failpoint.c %/catalog_names.c,$(wildcard $(TOP)/src/base/*.c))
SOURCES_codec = $(wildcard $(TOP)/src/codec/*.c)
SOURCES_column = $(wildcard $(TOP)/src/column/types.c $(TOP)/src/column/nested.c $(TOP)/src/column/vector*.c)
SOURCES_store = $(TOP)/src/store/s3_xml.c
SOURCES_avro = $(wildcard $(TOP)/src/avro/*.c)
SOURCES_iceberg = $(wildcard $(TOP)/src/iceberg/*.c)
SOURCES_parquet = $(wildcard $(TOP)/src/parquet/*.c)
SOURCES_vector = $(wildcard $(TOP)/src/vector/*.c)
SOURCES_keyindex = $(wildcard $(TOP)/src/pipeline/keyindex*.c $(TOP)/src/pipeline/keyhash.c)
SOURCES_wire = $(TOP)/src/pipeline/file_wire.c

SOURCES = $(foreach room,$(ROOMS),$(SOURCES_$(room))) $(wildcard $(TOP)/test/shim/*.c)
OBJECTS = $(patsubst $(TOP)/%.c,$(OUT)/%.o,$(SOURCES))
ARCHIVE = $(OUT)/libstandalone.a

WARNINGS = -Wall -Wextra -Wmissing-prototypes -Wpointer-arith -Wdeclaration-after-statement \
	-Werror=vla -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
	-Wno-clobbered -Wno-unknown-warning-option
STANDALONE_CFLAGS = -std=gnu11 -g $(OPTIMIZE) $(WARNINGS) -fno-strict-aliasing -fwrapv \
	-I$(TOP)/test/shim -I$(TOP)/src -MMD -MP
LIBS = -lzstd -llz4 -lsnappy -lz -lbrotlienc -lbrotlidec -lm

$(OUT)/%.o: $(TOP)/%.c
	@mkdir -p $(@D)
	$(CC) $(STANDALONE_CFLAGS) $(CFLAGS) -c -o $@ $<

$(ARCHIVE): $(OBJECTS)
	@rm -f $@
	ar rcs $@ $^

-include $(OBJECTS:.o=.d)
