/* SPDX-License-Identifier: GPL-2.0-or-later */
/* era_check, era_dump, era_restore, era_repair, era_invalidate. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <pdata/era.h>
#include "tools/frame.h"

/* ---- era_check ---- */

struct check_args {
	const char *input;
	bool super_block_only, ignore_non_fatal;
};

static const struct opt check_opts[] = {
	OPT_FLAG(0, "super-block-only", check_args, super_block_only, "Check the superblock alone"),
	OPT_FLAG(0, "ignore-non-fatal-errors", check_args, ignore_non_fatal,
		 "Succeed when nothing is found that loses changes"),
	OPT_ARG("INPUT", check_args, input, OPT_REQUIRED, "Metadata device or file"),
	OPT_END
};

static int check_run(struct frame *f, void *v)
{
	const struct check_args *a = v;
	struct pd_check_result res;
	struct pd_io *io;
	int r = open_input(f, a->input, 0, &io);

	if (r)
		return r;
	r = pd_era_check(io, a->super_block_only, &f->run, &res);
	pd_io_close(io);
	return r || res.worst == PD_SEV_FATAL || (res.worst == PD_SEV_ERROR && !a->ignore_non_fatal) ?
		EXIT_BAD : EXIT_CLEAN;
}

const struct command era_check_cmd = {
	.name = "era_check",
	.about = "Looks for damage in the metadata of an era device",
	.opts = check_opts,
	.args_size = sizeof(struct check_args),
	.takes_quiet = true,
	.run = check_run,
};

/* ---- era_dump, era_invalidate: text out ---- */

/* Opens both sides, calls @work, closes them. */
static int to_text(struct frame *f, const char *input, const char *output, unsigned flags,
		   int (*work)(struct frame *f, struct pd_io *io, struct text_out *text,
			       const struct pd_sink *sink, const void *args), const void *args)
{
	struct pd_sink sink = { .write = text_write };
	struct text_out *out;
	struct pd_io *io;
	int r = open_input(f, input, flags, &io), closed;

	if (r)
		return r;
	if (output && strcmp(output, "-") && pd_io_same(output, input)) {
		pd_io_close(io);
		return usage_error(f, "input and output are the same: %s", output);
	}
	out = text_create(f, output);
	if (!out) {
		pd_io_close(io);
		return EXIT_BAD;
	}
	sink.ctx = out;
	r = work(f, io, out, &sink, args);
	if (r == -ENOMEM)
		fail(f, "out of memory");
	pd_io_close(io);
	closed = text_close(f, out, !r);
	return r ? EXIT_BAD : closed;
}

struct dump_args {
	const char *input, *output;
	bool repair, logical;
};

static const struct opt dump_opts[] = {
	OPT_FLAG(0, "logical", dump_args, logical, "Fold writesets into the era array"),
	OPT_STR('o', "output", "FILE", dump_args, output, 0, "File to write to instead of standard output"),
	OPT_FLAG('r', "repair", dump_args, repair, "Take what cannot be read for written"),
	OPT_ARG("INPUT", dump_args, input, OPT_REQUIRED, "Metadata device or file"),
	OPT_END
};

static int dump_work(struct frame *f, struct pd_io *io, struct text_out *text, const struct pd_sink *sink,
		     const void *args)
{
	const struct dump_args *a = args;
	struct pd_era_dump_opts o = {
		.size = sizeof(o), .repair = a->repair, .logical = a->logical,
		.final_newline = text_is_tty(text),
	};

	return pd_era_dump(io, &o, &f->run, sink);
}

static int dump_run(struct frame *f, void *v)
{
	const struct dump_args *a = v;

	return to_text(f, a->input, a->output, 0, dump_work, a);
}

const struct command era_dump_cmd = {
	.name = "era_dump",
	.about = "Writes the metadata of an era device as XML",
	.opts = dump_opts,
	.args_size = sizeof(struct dump_args),
	.run = dump_run,
};

struct invalidate_args {
	const char *input, *output;
	uint32_t since;
	uint64_t snap_block;
	bool snap, has_snap_block;
};

static int snap_option(void *v, const char *value)
{
	struct invalidate_args *a = v;
	char *end;

	a->snap = true;
	if (!value)
		return 0;
	errno = 0;
	a->snap_block = strtoull(value, &end, 10);
	a->has_snap_block = true;
	if (*value >= '0' && *value <= '9' && !*end && !errno)
		return 0;
	fprintf(stderr, "error: invalid value '%s' for '--metadata-snapshot': it is a block number\n", value);
	return EXIT_USAGE;
}

static const struct opt invalidate_opts[] = {
	{ .kind = OPT_KIND_U32, .name = "written-since", .metavar = "ERA", .flags = OPT_REQUIRED,
	  .offset = OPT_TYPE_CHECK(invalidate_args, since, uint32_t),
	  .help = "List blocks written in this era or later" },
	{ .kind = OPT_KIND_CALL, .name = "metadata-snapshot", .alias = "metadata-snap", .metavar = "BLOCKNR",
	  .flags = OPT_OPTIONAL_VALUE, .call = snap_option,
	  .help = "Read the metadata snapshot, which may be that of a running device" },
	OPT_STR('o', "output", "FILE", invalidate_args, output, 0,
		"File to write to instead of standard output"),
	OPT_ARG("INPUT", invalidate_args, input, OPT_REQUIRED, "Metadata device or file"),
	OPT_END
};

static int invalidate_work(struct frame *f, struct pd_io *io, struct text_out *text,
			   const struct pd_sink *sink, const void *args)
{
	const struct invalidate_args *a = args;
	struct pd_era_invalidate_opts o = {
		.size = sizeof(o), .since = a->since, .metadata_snap = a->snap,
		.has_snap_block = a->has_snap_block, .snap_block = a->snap_block,
		.final_newline = text_is_tty(text),
	};

	if (f->numeric_operand_given) {
		o.has_snap_block = true;
		o.snap_block = f->numeric_operand;
	}
	return pd_era_invalidate(io, &o, &f->run, sink);
}

static int invalidate_run(struct frame *f, void *v)
{
	const struct invalidate_args *a = v;

	return to_text(f, a->input, a->output, a->snap ? PD_IO_SHARED : 0, invalidate_work, a);
}

const struct command era_invalidate_cmd = {
	.name = "era_invalidate",
	.about = "Lists blocks that were written since a given era",
	.opts = invalidate_opts,
	.args_size = sizeof(struct invalidate_args),
	.takes_numeric_operand = true,
	.run = invalidate_run,
};

/* ---- era_restore ---- */

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
		r = pd_era_restore(&xml, io, &f->run);
		signals_release();
		pd_io_close(io);
		if (r == -ENOMEM)
			fail(f, "out of memory");
		r = r ? EXIT_BAD : EXIT_CLEAN;
	}
	source_close(fd);
	return r;
}

const struct command era_restore_cmd = {
	.name = "era_restore",
	.about = "Writes the metadata of an era device from XML",
	.opts = restore_opts,
	.args_size = sizeof(struct restore_args),
	.takes_quiet = true,
	.run = restore_run,
};

/* ---- era_repair ---- */

struct repair_args {
	const char *input, *output, *report;
	bool strict, dry_run;
};

static const struct opt repair_opts[] = {
	OPT_STR('i', "input", "FILE", repair_args, input, OPT_REQUIRED,
		"Damaged metadata device or file; only read"),
	OPT_STR_UNLESS('o', "output", "FILE", repair_args, output, "Metadata device or file to overwrite",
		       "dry-run"),
	OPT_FLAG(0, "dry-run", repair_args, dry_run, "Write nothing; print what would be saved"),
	OPT_FLAG(0, "strict", repair_args, strict, "Fail if anything is lost"),
	OPT_STR(0, "report", "FILE", repair_args, report, 0, "Write what is lost to FILE, as JSON"),
	OPT_END
};

static int repair_run(struct frame *f, void *v)
{
	const struct repair_args *a = v;
	struct pd_sink sink = { .write = text_write };
	struct pd_era_repair_result res;
	struct text_out *report = NULL;
	struct pd_io *in, *out = NULL;
	int r;

	r = open_input(f, a->input, 0, &in);
	if (r)
		return r;
	if (!a->dry_run)
		r = open_output(f, a->output, a->input, &out);
	if (!r && a->report) {
		report = text_create(f, a->report);
		sink.ctx = report;
		r = report ? 0 : EXIT_BAD;
	}
	if (!r) {
		if (out)
			signals_guard(f, a->output);
		r = pd_era_repair(in, out, report ? &sink : NULL, &f->run, &res) ? EXIT_BAD : EXIT_CLEAN;
		if (out)
			signals_release();
		if (!r && a->dry_run && !f->quiet)
			printf("writesets: %" PRIu64 "\nblocks taken for written: %" PRIu64
			       "\nmetadata blocks needed: %" PRIu64 "\n", res.nr_writesets, res.nr_lost,
			       res.nr_needed);
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

const struct command era_repair_cmd = {
	.name = "era_repair",
	.about = "Saves what can be read of damaged era metadata",
	.opts = repair_opts,
	.args_size = sizeof(struct repair_args),
	.takes_quiet = true,
	.ignores_operand = true,
	.run = repair_run,
};
