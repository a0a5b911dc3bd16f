/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_check: looks for damage in a cache's metadata. */
#include <inttypes.h>
#include <unistd.h>
#include <pdata/cache.h>
#include "tools/frame.h"

struct args {
	const char *input;
	bool super_block_only, skip_mappings, skip_hints, skip_discards;
	bool clear_needs_check, ignore_non_fatal, auto_repair, status;
};

static const struct opt opts[] = {
	OPT_FLAG(0, "super-block-only", args, super_block_only, "Check the superblock alone"),
	OPT_FLAG(0, "skip-mappings", args, skip_mappings, "Leave out mappings and dirty bits"),
	OPT_FLAG(0, "skip-hints", args, skip_hints, "Leave out the policy's hints"),
	OPT_FLAG(0, "skip-discards", args, skip_discards, "Leave out the discard bits"),
	OPT_FLAG(0, "clear-needs-check-flag", args, clear_needs_check,
		 "Clear the flag that keeps a cache read-only, if a full check passes"),
	OPT_FLAG(0, "ignore-non-fatal-errors", args, ignore_non_fatal,
		 "Succeed when nothing worse than leaked space is found"),
	OPT_FLAG(0, "auto-repair", args, auto_repair, "Mend leaked space, and clear the flag"),
	OPT_FLAG(0, "status", args, status, "Print how many blocks are mapped, dirty and free"),
	OPT_ARG("INPUT", args, input, OPT_REQUIRED, "Metadata device or file"),
	OPT_END
};

static void print_status(const struct pd_check_result *res, const struct pd_cache_status *s)
{
	printf("CLEAN_SHUTDOWN=%d\nNEEDS_CHECK=%d\nMAPPED_BLOCKS=%" PRIu64 "\nDIRTY_BLOCKS=%" PRIu64
	       "\nFREE_BLOCKS=%" PRIu64 "\nMETADATA_FREE_BLOCKS=%" PRIu64 "\n", s->clean_shutdown,
	       res->needs_check && !res->cleared, s->nr_mapped, s->nr_dirty, s->nr_free,
	       s->nr_metadata_free);
}

static int run(struct frame *f, void *v)
{
	const struct args *a = v;
	bool mend = a->clear_needs_check || a->auto_repair;
	struct pd_cache_check_opts o = {
		.size = sizeof(o),
		.super_block_only = a->super_block_only,
		.skip_mappings = a->skip_mappings,
		.skip_hints = a->skip_hints,
		.skip_discards = a->skip_discards,
		.ignore_non_fatal = a->ignore_non_fatal,
		.clear_needs_check = a->clear_needs_check,
		.auto_repair = a->auto_repair,
	};
	struct pd_cache_status status;
	struct pd_check_result res;
	struct pd_io *io;
	int r = open_input(f, a->input, mend ? PD_IO_WRITE : 0, &io);

	if (r)
		return r;
	if (mend)
		signals_guard(f, NULL);
	r = pd_cache_check(io, &o, &f->run, &res, &status);
	if (mend)
		signals_release();
	pd_io_close(io);
	if (r)
		return EXIT_BAD;
	if (!f->quiet && !a->super_block_only && !a->skip_mappings) {
		if (a->status)
			print_status(&res, &status);
		if (f->verbose || isatty(STDERR_FILENO))
			fprintf(stderr, "%" PRIu64 " dirty blocks%s, %" PRIu64 " clean\n", status.nr_dirty,
				status.clean_shutdown ? "" : " (assumed, after an unclean shutdown)",
				status.nr_mapped - status.nr_dirty);
	}
	return res.worst == PD_SEV_FATAL || (res.worst == PD_SEV_ERROR && !a->ignore_non_fatal) ?
		EXIT_BAD : EXIT_CLEAN;
}

const struct command cache_check_cmd = {
	.name = "cache_check",
	.about = "Looks for damage in the metadata of a cache",
	.opts = opts,
	.args_size = sizeof(struct args),
	.takes_quiet = true,
	.run = run,
};
