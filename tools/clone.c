/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clone_check, clone_dump, clone_restore, clone_repair. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <pdata/clone.h>
#include "tools/frame.h"

/* ---- clone_check ---- */

struct check_args {
	const char *input;
	bool super_block_only, ignore_non_fatal, auto_repair;
};

static const struct opt check_opts[] = {
	OPT_FLAG(0, "super-block-only", check_args, super_block_only, "Check the superblock alone"),
	OPT_FLAG(0, "ignore-non-fatal-errors", check_args, ignore_non_fatal,
		 "Succeed when nothing worse than leaked space is found"),
	OPT_FLAG(0, "auto-repair", check_args, auto_repair, "Mend leaked space"),
	OPT_ARG("INPUT", check_args, input, OPT_REQUIRED, "Metadata device or file"),
	OPT_END
};

static int check_run(struct frame *f, void *v)
{
	const struct check_args *a = v;
	struct pd_clone_check_opts o = {
		.size = sizeof(o), .super_block_only = a->super_block_only, .auto_repair = a->auto_repair,
	};
	struct pd_clone_status status;
	struct pd_check_result res;
	struct pd_io *io;
	int r = open_input(f, a->input, a->auto_repair ? PD_IO_WRITE : 0, &io);

	if (r)
		return r;
	if (a->auto_repair)
		signals_guard(f, NULL);
	r = pd_clone_check(io, &o, &f->run, &res, &status);
	if (a->auto_repair)
		signals_release();
	pd_io_close(io);
	if (r)
		return EXIT_BAD;
	/* how many are hydrated is known when all of the bitset was read, how many there are from the superblock */
	if (!f->quiet && !a->super_block_only && res.worst != PD_SEV_FATAL)
		printf("HYDRATED_REGIONS=%" PRIu64 "\n", status.nr_hydrated);
	if (!f->quiet && status.nr_regions)
		printf("NR_REGIONS=%" PRIu64 "\n", status.nr_regions);
	return res.worst == PD_SEV_FATAL || (res.worst == PD_SEV_ERROR && !a->ignore_non_fatal) ?
		EXIT_BAD : EXIT_CLEAN;
}

const struct command clone_check_cmd = {
	.name = "clone_check",
	.about = "Looks for damage in the metadata of a clone",
	.opts = check_opts,
	.conflicts = { { "super-block-only", "auto-repair" } },
	.args_size = sizeof(struct check_args),
	.takes_quiet = true,
	.run = check_run,
};

/* ---- clone_dump ---- */

/* "hydrated", "unhydrated" or nothing; false for other words. */
static bool unreadable_of(const char *word, enum pd_clone_unreadable *to)
{
	*to = !word ? PD_CLONE_REFUSE : !strcmp(word, "hydrated") ? PD_CLONE_HYDRATED : PD_CLONE_UNHYDRATED;
	return !word || !strcmp(word, "hydrated") || !strcmp(word, "unhydrated");
}

static int bad_word(struct frame *f, const char *word)
{
	return usage_error(f, "invalid value '%s' for '--unreadable': it is hydrated or unhydrated", word);
}

struct dump_args {
	const char *input, *output, *unreadable;
	bool repair;
};

static const struct opt dump_opts[] = {
	OPT_STR('o', "output", "FILE", dump_args, output, 0, "File to write to instead of standard output"),
	OPT_FLAG('r', "repair", dump_args, repair, "Dump what can be read of damaged metadata"),
	OPT_STR(0, "unreadable", "hydrated|unhydrated", dump_args, unreadable, 0,
		"With --repair: what regions are taken for whose bits are lost"),
	OPT_ARG("INPUT", dump_args, input, OPT_REQUIRED, "Metadata device or file"),
	OPT_END
};

static int dump_run(struct frame *f, void *v)
{
	const struct dump_args *a = v;
	struct pd_sink sink = { .write = text_write };
	enum pd_clone_unreadable unreadable;
	struct text_out *out;
	struct pd_io *io;
	int r, closed;

	if (!unreadable_of(a->unreadable, &unreadable))
		return bad_word(f, a->unreadable);
	if (a->unreadable && !a->repair)
		return usage_error(f, "--unreadable needs --repair");
	r = open_input(f, a->input, 0, &io);
	if (r)
		return r;
	if (a->output && strcmp(a->output, "-") && pd_io_same(a->output, a->input)) {
		pd_io_close(io);
		return usage_error(f, "input and output are the same: %s", a->output);
	}
	out = text_create(f, a->output);
	if (!out) {
		pd_io_close(io);
		return EXIT_BAD;
	}
	sink.ctx = out;
	r = pd_clone_dump(io, a->repair, unreadable, text_is_tty(out), &f->run, &sink);
	if (r == -ENOMEM)
		fail(f, "out of memory");
	pd_io_close(io);
	closed = text_close(f, out, !r);
	return r ? EXIT_BAD : closed;
}

const struct command clone_dump_cmd = {
	.name = "clone_dump",
	.about = "Writes the hydrated regions of a clone as XML",
	.opts = dump_opts,
	.args_size = sizeof(struct dump_args),
	.run = dump_run,
};

/* ---- clone_restore ---- */

struct restore_args {
	const char *input, *output;
};

static const struct opt restore_opts[] = {
	OPT_STR('i', "input", "FILE", restore_args, input, OPT_REQUIRED,
		"XML to read, which may be compressed by gzip; - is standard input"),
	OPT_STR('o', "output", "FILE", restore_args, output, OPT_REQUIRED,
		"Metadata device or file to overwrite"),
	OPT_END
};

static int restore_run(struct frame *f, void *v)
{
	const struct restore_args *a = v;
	struct pd_source xml = { source_read, NULL };
	struct pd_io *io;
	int fd, r = source_open(f, a->input, &fd);

	if (r)
		return r;
	xml.ctx = &fd;
	r = open_output(f, a->output, source_path(a->input), &io);
	if (!r) {
		signals_guard(f, a->output);
		r = pd_clone_restore(&xml, io, &f->run);
		signals_release();
		pd_io_close(io);
		if (r == -ENOMEM)
			fail(f, "out of memory");
		r = r ? EXIT_BAD : EXIT_CLEAN;
	}
	source_close(fd);
	return r;
}

const struct command clone_restore_cmd = {
	.name = "clone_restore",
	.about = "Writes the metadata of a clone from XML",
	.opts = restore_opts,
	.args_size = sizeof(struct restore_args),
	.takes_quiet = true,
	.run = restore_run,
};

/* ---- clone_repair ---- */

struct repair_args {
	const char *input, *output, *unreadable, *report;
	uint64_t region_size, target_size;
	bool has_region_size, has_target_size, strict, dry_run;
};

static const struct opt repair_opts[] = {
	OPT_STR('i', "input", "FILE", repair_args, input, OPT_REQUIRED,
		"Damaged metadata device or file; only read"),
	OPT_STR_UNLESS('o', "output", "FILE", repair_args, output, "Metadata device or file to overwrite",
		       "dry-run"),
	OPT_STR(0, "unreadable", "hydrated|unhydrated", repair_args, unreadable, 0,
		"What regions are taken for whose bits are lost; without it they make the repair fail"),
	OPT_U64(0, "region-size", "SECTORS", repair_args, region_size, has_region_size,
		"Region size, if the superblock is lost"),
	OPT_U64(0, "target-size", "SECTORS", repair_args, target_size, has_target_size,
		"Size of the cloned device, if the superblock is lost"),
	OPT_FLAG(0, "dry-run", repair_args, dry_run, "Write nothing; print what would be saved"),
	OPT_FLAG(0, "strict", repair_args, strict, "Fail if anything is lost"),
	OPT_STR(0, "report", "FILE", repair_args, report, 0, "Write what is kept and lost to FILE, as JSON"),
	OPT_END
};

static int repair_run(struct frame *f, void *v)
{
	const struct repair_args *a = v;
	struct pd_clone_repair_opts o = {
		.size = sizeof(o), .region_size = a->region_size, .target_size = a->target_size,
	};
	struct pd_sink sink = { .write = text_write };
	struct pd_clone_repair_result res;
	struct text_out *report = NULL;
	struct pd_io *in, *out = NULL;
	int r;

	if (!unreadable_of(a->unreadable, &o.unreadable))
		return bad_word(f, a->unreadable);
	if (a->has_region_size != a->has_target_size)
		return usage_error(f, "--region-size and --target-size belong together");
	r = open_input(f, a->input, 0, &in);
	if (r)
		return r;
	if (!a->dry_run)
		r = open_output(f, a->output, a->input, &out);
	if (!r && a->report) {
		report = text_create(f, a->report);
		sink.ctx = report;
		o.report = &sink;
		r = report ? 0 : EXIT_BAD;
	}
	if (!r) {
		if (out)
			signals_guard(f, a->output);
		r = pd_clone_repair(in, out, &o, &f->run, &res) ? EXIT_BAD : EXIT_CLEAN;
		if (out)
			signals_release();
		if (!r && a->dry_run && !f->quiet)
			printf("regions: %" PRIu64 "\nhydrated: %" PRIu64 "\nlost: %" PRIu64
			       "\nmetadata blocks needed: %" PRIu64 "\n", res.nr_regions, res.nr_hydrated,
			       res.nr_lost, res.nr_needed);
		if (!r && a->strict && res.lossy)
			r = EXIT_BAD;
	}
	if (report) {
		int closed = text_close(f, report, true);

		r = r ? r : closed;
	}
	pd_io_close(out);
	pd_io_close(in);
	return r;
}

const struct command clone_repair_cmd = {
	.name = "clone_repair",
	.about = "Saves what can be read of damaged clone metadata",
	.opts = repair_opts,
	.args_size = sizeof(struct repair_args),
	.takes_quiet = true,
	.ignores_operand = true,
	.run = repair_run,
};
