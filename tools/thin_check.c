/* SPDX-License-Identifier: GPL-2.0-or-later */
/* thin_check: looks for damage in a pool's metadata. */
#include <inttypes.h>
#include <pdata/thin.h>
#include "tools/frame.h"

struct args {
	const char *input;
	bool metadata_snap, super_block_only, skip_mappings, ignore_non_fatal;
	bool clear_needs_check, auto_repair;
	bool has_mapping_root, has_details_root;
	uint64_t mapping_root, details_root;
};

static const struct opt opts[] = {
	OPT_FLAG_ALIAS('m', "metadata-snap", "metadata-snapshot", args, metadata_snap,
		       "Check the metadata snapshot alone, as one can on a live pool"),
	OPT_FLAG(0, "super-block-only", args, super_block_only, "Check the superblock alone"),
	OPT_FLAG(0, "skip-mappings", args, skip_mappings,
		 "Check superblock, device details and which devices there are"),
	OPT_FLAG(0, "ignore-non-fatal-errors", args, ignore_non_fatal,
		 "Succeed when nothing worse than leaked space is found"),
	OPT_FLAG(0, "clear-needs-check-flag", args, clear_needs_check,
		 "Clear the flag that keeps a pool read-only, if the check passes"),
	OPT_FLAG(0, "auto-repair", args, auto_repair,
		 "Mend what costs no mapping, and clear the flag"),
	OPT_U64(0, "override-mapping-root", "BLOCKNR", args, mapping_root, has_mapping_root,
		"Start from this mapping tree instead of the superblock's"),
	OPT_U64(0, "override-details-root", "BLOCKNR", args, details_root, has_details_root,
		"Start from this details tree instead of the superblock's"),
	OPT_ARG("INPUT", args, input, OPT_REQUIRED, "Metadata device or file"),
	OPT_END
};

struct ctx {
	struct frame *f;
	const struct args *a;
};

static void print_numbers(void *v, uint64_t transaction_id, uint64_t nr_free_blocks)
{
	const struct args *a = ((struct ctx *)v)->a;

	if (((struct ctx *)v)->f->quiet)
		return;
	printf("TRANSACTION_ID=%" PRIu64 "\n", transaction_id);
	if (!a->metadata_snap)
		printf("METADATA_FREE_BLOCKS=%" PRIu64 "\n", nr_free_blocks);
	fflush(stdout);
}

static void before_write(void *v)
{
	signals_guard(((struct ctx *)v)->f, NULL);
}

static int run(struct frame *f, void *v)
{
	struct args *a = v;
	struct ctx ctx = { f, a };
	bool mend = a->clear_needs_check || a->auto_repair;
	struct pd_thin_check_opts o = {
		.size = sizeof(o),
		.metadata_snap = a->metadata_snap,
		.super_block_only = a->super_block_only,
		.skip_mappings = a->skip_mappings,
		.ignore_non_fatal = a->ignore_non_fatal,
		.has_mapping_root = a->has_mapping_root,
		.has_details_root = a->has_details_root,
		.mapping_root = a->mapping_root,
		.details_root = a->details_root,
		.clear_needs_check = a->clear_needs_check,
		.auto_repair = a->auto_repair,
		.on_superblock = print_numbers,
		.on_write = before_write,
		.ctx = &ctx,
	};
	struct pd_check_result res;
	struct pd_io *io;
	int r = open_input(f, a->input, a->metadata_snap ? PD_IO_SHARED : mend ? PD_IO_WRITE : 0, &io);

	if (r)
		return r;
	r = pd_thin_check(io, &o, &f->run, &res);
	pd_io_close(io);
	signals_release();
	if (r || res.worst == PD_SEV_FATAL || (res.worst == PD_SEV_ERROR && !a->ignore_non_fatal))
		return EXIT_BAD;
	return EXIT_CLEAN;
}

const struct command thin_check_cmd = {
	.name = "thin_check",
	.about = "Looks for damage in the metadata of a thin pool",
	.opts = opts,
	.conflicts = {
		{ "auto-repair", "metadata-snap" },
		{ "auto-repair", "override-mapping-root" },
		{ "auto-repair", "override-details-root" },
		{ "auto-repair", "super-block-only" },
		{ "auto-repair", "skip-mappings" },
		{ "auto-repair", "ignore-non-fatal-errors" },
		{ "clear-needs-check-flag", "metadata-snap" },
		{ "clear-needs-check-flag", "override-mapping-root" },
		{ "clear-needs-check-flag", "override-details-root" },
	},
	.args_size = sizeof(struct args),
	.takes_quiet = true,
	.run = run,
};
