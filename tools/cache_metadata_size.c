/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_metadata_size: how large a metadata device a cache needs. */
#include <string.h>
#include "tools/frame.h"
#include "tools/units.h"

#define MIN_CACHE_BLOCK (32ull << 10)	/* bytes */
#define MAX_CACHE_BLOCK (1ull << 30)
#define MAX_METADATA_BYTES (255ull * 16320 * 4096)

struct args {
	uint64_t device_size, block_size;	/* bytes */
	uint64_t nr_blocks;
	uint64_t max_hint_width;	/* bytes */
	bool nr_blocks_given, hint_width_given, device_given, block_given;
	const struct unit *unit;
	enum numeric numeric;
};

static void init(void *v)
{
	struct args *a = v;

	a->max_hint_width = 4;
	a->unit = unit_find("sectors");
}

static int set_size(const char *value, uint64_t *bytes, bool *given)
{
	*given = true;
	if (size_parse(value, bytes))
		return 0;
	fprintf(stderr, "error: '%s' is not a size\n", value);
	return EXIT_USAGE;
}

static int set_device(void *v, const char *value)
{
	struct args *a = v;

	return set_size(value, &a->device_size, &a->device_given);
}

static int set_block(void *v, const char *value)
{
	struct args *a = v;

	return set_size(value, &a->block_size, &a->block_given);
}

static int set_unit(void *v, const char *value)
{
	struct args *a = v;

	a->unit = unit_find(value);
	if (a->unit)
		return 0;
	fprintf(stderr, "error: '%s' is not a unit\n", value);
	return EXIT_USAGE;
}

static int set_numeric(void *v, const char *value)
{
	struct args *a = v;

	a->numeric = numeric_parse(value);
	if (a->numeric != NUMERIC_BAD)
		return 0;
	fprintf(stderr, "error: '%s' is neither short nor long\n", value);
	return EXIT_USAGE;
}

static const struct opt opts[] = {
	{ .kind = OPT_KIND_CALL, .name = "device-size", .metavar = "SIZE", .call = set_device,
	  .help = "Size of the fast device; sectors without a unit" },
	{ .kind = OPT_KIND_CALL, .name = "block-size", .metavar = "SIZE", .call = set_block,
	  .help = "Size of a cache block; sectors without a unit" },
	OPT_U64(0, "nr-blocks", "N", args, nr_blocks, nr_blocks_given,
		"Number of cache blocks, instead of the two sizes"),
	OPT_U64(0, "max-hint-width", "BYTES", args, max_hint_width, hint_width_given,
		"Room for the policy's hint of each block, 4 if not given"),
	{ .kind = OPT_KIND_CALL, .short_name = 'u', .name = "unit", .metavar = "UNIT",
	  .call = set_unit, .help = "Unit of the answer, sectors if not given" },
	{ .kind = OPT_KIND_CALL, .short_name = 'n', .name = "numeric-only",
	  .flags = OPT_OPTIONAL_VALUE, .metavar = "short|long", .call = set_numeric,
	  .help = "The number alone, or with the unit's letter or word" },
	OPT_END
};

static int run(struct frame *f, void *v)
{
	struct args *a = v;
	uint64_t n = a->nr_blocks, bytes;

	if (a->nr_blocks_given && (a->device_given || a->block_given))
		return usage_error(f, "--nr-blocks cannot be used with --device-size or --block-size");
	if (!a->nr_blocks_given) {
		if (!a->device_given || !a->block_given)
			return usage_error(f, "the following required arguments were not provided: "
					   "--nr-blocks, or --device-size and --block-size");
		if (a->block_size < MIN_CACHE_BLOCK || a->block_size > MAX_CACHE_BLOCK ||
		    a->block_size % MIN_CACHE_BLOCK)
			return usage_error(f, "block size must be a multiple of 32 KiB, at most 1 GiB");
		n = a->device_size / a->block_size + (a->device_size % a->block_size != 0);
	}
	/* 4 MiB for the transaction in flight; 16 bytes a block for the mapping and its copy; the
	 * hint with its key. */
	if (__builtin_add_overflow(a->max_hint_width, 8 + 16, &bytes) ||
	    __builtin_mul_overflow(bytes, n, &bytes) ||
	    __builtin_add_overflow(bytes, 4ull << 20, &bytes))
		return usage_error(f, "so many blocks cannot be cached");
	if (bytes > MAX_METADATA_BYTES)
		bytes = MAX_METADATA_BYTES;
	bytes = (bytes + SECTOR_SIZE - 1) / SECTOR_SIZE * SECTOR_SIZE;
	size_print(bytes, a->unit, a->numeric);
	return EXIT_CLEAN;
}

const struct command cache_metadata_size_cmd = {
	.name = "cache_metadata_size",
	.about = "Tells how large a metadata device a cache needs",
	.opts = opts,
	.args_size = sizeof(struct args),
	.init = init,
	.run = run,
};
