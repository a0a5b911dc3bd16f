/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pdata/cache.h>
#include <pdata/clone.h>
#include <pdata/era.h>
#include <pdata/thin.h>
#include "fuzz/types.h"

static int thin_check(struct pd_io *io, enum fuzz_mend mend, const struct pd_run *run,
		      struct pd_check_result *res)
{
	struct pd_thin_check_opts o = {
		.size = sizeof(o), .auto_repair = mend == FUZZ_AUTO_REPAIR,
		.clear_needs_check = mend == FUZZ_CLEAR_NEEDS_CHECK,
	};

	return pd_thin_check(io, &o, run, res);
}

static int thin_dump(struct pd_io *io, const struct pd_run *run, const struct pd_sink *out)
{
	struct pd_thin_dump_opts o = { .size = sizeof(o), .format = PD_TEXT_XML };

	return pd_thin_dump(io, &o, run, out);
}

static int thin_restore(const struct pd_source *xml, struct pd_io *out, const struct pd_run *run)
{
	struct pd_thin_restore_opts o = { .size = sizeof(o) };

	return pd_thin_restore(xml, out, &o, run);
}

static struct pd_thin_repair_opts thin_opts(const struct fuzz_numbers *n)
{
	return (struct pd_thin_repair_opts){
		.size = sizeof(struct pd_thin_repair_opts),
		.overrides = { .has_data_block_size = n->given, .data_block_size = (uint32_t)n->a,
			       .has_nr_data_blocks = n->given, .nr_data_blocks = n->b },
	};
}

static int thin_repair(struct pd_io *in, struct pd_io *out, const struct fuzz_numbers *n,
		       const struct pd_run *run)
{
	struct pd_thin_repair_opts o = thin_opts(n);
	struct pd_thin_repair_result res;

	return pd_thin_repair(in, out, &o, run, &res);
}

static int thin_repair_dump(struct pd_io *in, const struct fuzz_numbers *n, const struct pd_run *run,
			    const struct pd_sink *out)
{
	struct pd_thin_dump_opts dump = { .size = sizeof(dump), .format = PD_TEXT_XML };
	struct pd_thin_repair_opts o = thin_opts(n);
	struct pd_thin_repair_result res;

	return pd_thin_repair_dump(in, &o, &dump, run, out, &res);
}

static int thin_in_place(struct pd_io *io, const struct pd_run *run)
{
	struct pd_thin_in_place_opts o = { .size = sizeof(o) };

	return pd_thin_repair_in_place(io, &o, run);
}

static void thin_others(struct pd_io *io, const struct pd_run *run, const struct pd_sink *aside)
{
	struct pd_thin_dump_opts o = { .size = sizeof(o), .format = PD_TEXT_HUMAN_READABLE };
	struct pd_thin_check_opts c = { .size = sizeof(c), .metadata_snap = true };
	struct pd_check_result res;

	(void)pd_thin_dump(io, &o, run, aside);
	o.metadata_snap = true;
	(void)pd_thin_dump(io, &o, run, aside);
	(void)pd_thin_check(io, &c, run, &res);
	c.metadata_snap = false;
	c.skip_mappings = true;
	(void)pd_thin_check(io, &c, run, &res);
}

static int cache_check(struct pd_io *io, enum fuzz_mend mend, const struct pd_run *run,
		       struct pd_check_result *res)
{
	struct pd_cache_check_opts o = {
		.size = sizeof(o), .auto_repair = mend == FUZZ_AUTO_REPAIR,
		.clear_needs_check = mend == FUZZ_CLEAR_NEEDS_CHECK,
	};
	struct pd_cache_status status;

	return pd_cache_check(io, &o, run, res, &status);
}

static int cache_dump(struct pd_io *io, const struct pd_run *run, const struct pd_sink *out)
{
	return pd_cache_dump(io, false, false, run, out);
}

/* Of the version in the superblock; the dump does not say it, and nothing compares it. */
static int cache_restore(const struct pd_source *xml, struct pd_io *out, const struct pd_run *run)
{
	struct pd_cache_restore_opts o = { .size = sizeof(o) };

	return pd_cache_restore(xml, out, &o, run);
}

static int cache_repair(struct pd_io *in, struct pd_io *out, const struct fuzz_numbers *n,
			const struct pd_run *run)
{
	struct pd_cache_repair_opts o = { .size = sizeof(o) };
	struct pd_cache_repair_result res;

	if (n->given) {
		o.block_size = (uint32_t)n->a;
		o.nr_cache_blocks = (uint32_t)n->b;
	}
	return pd_cache_repair(in, out, &o, run, &res);
}

static int cache_repair_dump(struct pd_io *in, const struct fuzz_numbers *n, const struct pd_run *run,
			     const struct pd_sink *out)
{
	(void)n;
	return pd_cache_dump(in, true, false, run, out);
}

static int era_check(struct pd_io *io, enum fuzz_mend mend, const struct pd_run *run,
		     struct pd_check_result *res)
{
	(void)mend;
	return pd_era_check(io, false, run, res);
}

static int era_dump(struct pd_io *io, const struct pd_run *run, const struct pd_sink *out)
{
	struct pd_era_dump_opts o = { .size = sizeof(o) };

	return pd_era_dump(io, &o, run, out);
}

static int era_repair(struct pd_io *in, struct pd_io *out, const struct fuzz_numbers *n,
		      const struct pd_run *run)
{
	struct pd_era_repair_result res;

	(void)n;
	return pd_era_repair(in, out, NULL, run, &res);
}

static int era_repair_dump(struct pd_io *in, const struct fuzz_numbers *n, const struct pd_run *run,
			   const struct pd_sink *out)
{
	struct pd_era_dump_opts o = { .size = sizeof(o), .repair = true };

	(void)n;
	return pd_era_dump(in, &o, run, out);
}

static void era_others(struct pd_io *io, const struct pd_run *run, const struct pd_sink *aside)
{
	struct pd_era_dump_opts o = { .size = sizeof(o), .repair = true, .logical = true };
	struct pd_era_invalidate_opts inv = { .size = sizeof(inv), .since = 2 };

	(void)pd_era_invalidate(io, &inv, run, aside);
	inv.metadata_snap = true;
	(void)pd_era_invalidate(io, &inv, run, aside);
	(void)pd_era_dump(io, &o, run, aside);
}

static int clone_check(struct pd_io *io, enum fuzz_mend mend, const struct pd_run *run,
		       struct pd_check_result *res)
{
	struct pd_clone_check_opts o = { .size = sizeof(o), .auto_repair = mend == FUZZ_AUTO_REPAIR };
	struct pd_clone_status status;

	return pd_clone_check(io, &o, run, res, &status);
}

static int clone_dump(struct pd_io *io, const struct pd_run *run, const struct pd_sink *out)
{
	return pd_clone_dump(io, false, PD_CLONE_REFUSE, false, run, out);
}

static int clone_repair(struct pd_io *in, struct pd_io *out, const struct fuzz_numbers *n,
			const struct pd_run *run)
{
	struct pd_clone_repair_opts o = { .size = sizeof(o), .unreadable = n->unreadable };
	struct pd_clone_repair_result res;

	if (n->given) {
		o.region_size = n->a;
		o.target_size = n->b;
	}
	return pd_clone_repair(in, out, &o, run, &res);
}

static int clone_repair_dump(struct pd_io *in, const struct fuzz_numbers *n, const struct pd_run *run,
			     const struct pd_sink *out)
{
	return pd_clone_dump(in, true, n->unreadable, false, run, out);
}

const struct fuzz_type fuzz_types[FUZZ_NR_TYPES] = {
	{ "thin", KIND_THIN_SB, offsetof(struct thin_superblock, metadata_space_map_root), true,
	  thin_check, thin_dump, thin_restore, thin_repair, thin_repair_dump, thin_in_place, thin_others },
	{ "cache", KIND_CACHE_SB, offsetof(struct cache_superblock, metadata_space_map_root), true,
	  cache_check, cache_dump, cache_restore, cache_repair, cache_repair_dump, NULL, NULL },
	{ "era", KIND_ERA_SB, offsetof(struct era_superblock, metadata_space_map_root), false,
	  era_check, era_dump, pd_era_restore, era_repair, era_repair_dump, NULL, era_others },
	{ "clone", KIND_CLONE_SB, offsetof(struct clone_superblock, metadata_space_map_root), false,
	  clone_check, clone_dump, pd_clone_restore, clone_repair, clone_repair_dump, NULL, NULL },
};
