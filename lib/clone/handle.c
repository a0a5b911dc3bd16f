/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's dm-clone-metadata, for clones that are not active. Format: clone 1 to 3. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "clone/metadata.h"
#include "persistent-data/bitset.h"
#include "persistent-data/metadata.h"
#include <pdata/clone-metadata.h>

struct pd_clone {
	struct metadata m;
	struct clone_superblock sb;
	struct bitset regions;
};

static int use_superblock(struct pd_clone *c, struct pd_log *log)
{
	enum pd_problem why;
	uint64_t nr = clone_nr_regions(le64_get(c->sb.region_size), le64_get(c->sb.target_size), &why);

	if (!nr) {
		pd_log(log, PD_LOG_ERR, "%s", pd_problem_row(why)->text);
		return -EUCLEAN;
	}
	bitset_open(&c->regions, c->m.tm, le64_get(c->sb.bitset_root), nr);
	return 0;
}

int pd_clone_open(struct pd_clone **clone, struct pd_io *io, uint32_t memory_blocks, struct pd_log *log)
{
	struct pd_clone *c = calloc(1, sizeof(*c));
	int r = c ? 0 : -ENOMEM;

	if (!r) {
		c->m = (struct metadata){
			.kind = KIND_CLONE_SB, .len = sizeof(c->sb), .sb = &c->sb,
			.sm_root = offsetof(struct clone_superblock, metadata_space_map_root),
		};
		r = metadata_open(&c->m, io, memory_blocks, CLONE_VERSION, "clone_check", log);
	}
	if (!r)
		r = use_superblock(c, log);
	if (r) {
		pd_clone_close(c);
		return r;
	}
	*clone = c;
	return 0;
}

void pd_clone_close(struct pd_clone *c)
{
	if (!c)
		return;
	metadata_close(&c->m);
	free(c);
}

int pd_clone_commit(struct pd_clone *c)
{
	int r = bitset_flush(&c->regions);

	if (r)
		return r;
	c->sb.bitset_root = le64_put(c->regions.root);
	return metadata_commit(&c->m);
}

int pd_clone_abort(struct pd_clone *c)
{
	int r = metadata_abort(&c->m);

	return r ? r : use_superblock(c, NULL);
}

void pd_clone_get_info(const struct pd_clone *c, struct pd_clone_info *info)
{
	*info = (struct pd_clone_info){
		.region_size = le64_get(c->sb.region_size),
		.target_size = le64_get(c->sb.target_size),
		.nr_regions = c->regions.nr_bits,
		.nr_metadata_blocks = tm_nr_blocks(c->m.tm),
		.nr_free_metadata_blocks = tm_nr_free(c->m.tm),
	};
}

int pd_clone_is_hydrated(struct pd_clone *c, uint64_t region, bool *hydrated)
{
	return region < c->regions.nr_bits ? bitset_test(&c->regions, region, hydrated) : -EINVAL;
}

int pd_clone_next_hydrated(struct pd_clone *c, uint64_t from, uint64_t *begin, uint64_t *end)
{
	bool hydrated = false;
	int r = 0;

	for (*end = from; !r && !hydrated; )
		r = bitset_next_run(&c->regions, begin, end, &hydrated);
	return r;
}

int pd_clone_set_hydrated(struct pd_clone *c, uint64_t begin, uint64_t end)
{
	int r = begin <= end && end <= c->regions.nr_bits ? 0 : -EINVAL;

	for (uint64_t region = begin; !r && region < end; region++)
		r = bitset_set(&c->regions, region);
	return r;
}
