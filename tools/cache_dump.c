/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_dump, cache_restore, cache_repair. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <pdata/cache.h>
#include "tools/frame.h"

struct dump_args {
	const char *input, *output;
	bool repair;
};

static const struct opt dump_opts[] = {
	OPT_STR('o', "output", "FILE", dump_args, output, 0, "File to write to instead of standard output"),
	OPT_FLAG('r', "repair", dump_args, repair, "Step over damage and dump what can be saved"),
	OPT_ARG("INPUT", dump_args, input, OPT_REQUIRED, "Metadata device or file"),
	OPT_END
};

static int dump_run(struct frame *f, void *v)
{
	const struct dump_args *a = v;
	struct pd_sink sink = { .write = text_write };
	struct text_out *out;
	struct pd_io *io;
	int r = open_input(f, a->input, 0, &io), closed;

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
	r = pd_cache_dump(io, a->repair, text_is_tty(out), &f->run, &sink);
	if (r == -ENOMEM)
		fail(f, "out of memory");
	pd_io_close(io);
	closed = text_close(f, out, !r);
	return r ? EXIT_BAD : closed;
}

const struct command cache_dump_cmd = {
	.name = "cache_dump",
	.about = "Writes the metadata of a cache as XML",
	.opts = dump_opts,
	.args_size = sizeof(struct dump_args),
	.run = dump_run,
};

struct restore_args {
	const char *input, *output;
	uint32_t version, written_version;
	bool version_given, written_given, omit_clean_shutdown;
};

static const struct opt restore_opts[] = {
	OPT_STR('i', "input", "FILE", restore_args, input, OPT_REQUIRED,
		"XML to read, which may be compressed by gzip; - is standard input"),
	OPT_STR('o', "output", "FILE", restore_args, output, OPT_REQUIRED,
		"Metadata device or file to overwrite"),
	OPT_U32(0, "metadata-version", "1|2", restore_args, version, version_given,
		"Version of the metadata, 2 if not given"),
	OPT_FLAG(0, "omit-clean-shutdown", restore_args, omit_clean_shutdown,
		 "Leave the flag off: the kernel then takes every block for dirty"),
	{ .kind = OPT_KIND_U32, .name = "debug-override-metadata-version", .metavar = "N",
	  .flags = OPT_HIDDEN, .offset = offsetof(struct restore_args, written_version),
	  .given_offset = offsetof(struct restore_args, written_given), .help = "Number to write" },
	OPT_END
};

static int restore_run(struct frame *f, void *v)
{
	const struct restore_args *a = v;
	struct pd_cache_restore_opts o = {
		.size = sizeof(o), .version = a->version, .written_version = a->written_version,
		.omit_clean_shutdown = a->omit_clean_shutdown,
	};
	struct pd_source xml = { source_read, NULL };
	struct pd_io *io;
	int fd, r;

	if (a->version_given && a->version != 1 && a->version != 2)
		return usage_error(f, "invalid value '%" PRIu32 "' for '--metadata-version': it is 1 or 2",
				   a->version);
	r = source_open(f, a->input, &fd);
	if (r)
		return r;
	xml.ctx = &fd;
	r = open_output(f, a->output, source_path(a->input), &io);
	if (!r) {
		signals_guard(f, a->output);
		r = pd_cache_restore(&xml, io, &o, &f->run);
		signals_release();
		pd_io_close(io);
		if (r == -ENOMEM)
			fail(f, "out of memory");
		r = r ? EXIT_BAD : EXIT_CLEAN;
	}
	source_close(fd);
	return r;
}

const struct command cache_restore_cmd = {
	.name = "cache_restore",
	.about = "Writes the metadata of a cache from XML",
	.opts = restore_opts,
	.args_size = sizeof(struct restore_args),
	.takes_quiet = true,
	.run = restore_run,
};

struct repair_args {
	const char *input, *output, *report;
	uint32_t block_size, nr_cache_blocks;
	uint64_t generation;
	bool has_block_size, has_nr_cache_blocks, has_generation, strict, dry_run;
};

static const struct opt repair_opts[] = {
	OPT_STR('i', "input", "FILE", repair_args, input, OPT_REQUIRED,
		"Damaged metadata device or file; only read"),
	OPT_STR_UNLESS('o', "output", "FILE", repair_args, output, "Metadata device or file to overwrite",
		       "dry-run"),
	OPT_U32(0, "block-size", "SECTORS", repair_args, block_size, has_block_size,
		"Size of a cache block, if the superblock is lost"),
	OPT_U32(0, "nr-cache-blocks", "N", repair_args, nr_cache_blocks, has_nr_cache_blocks,
		"Number of cache blocks, if the superblock is lost"),
	OPT_U64(0, "generation", "BLOCKNR", repair_args, generation, has_generation,
		"If the superblock is lost: take the mapping array that begins there, as the report names it"),
	OPT_FLAG(0, "dry-run", repair_args, dry_run, "Write nothing; print what would be saved"),
	OPT_FLAG(0, "strict", repair_args, strict, "Fail if anything is lost"),
	OPT_STR(0, "report", "FILE", repair_args, report, 0, "Write what is kept and lost to FILE, as JSON"),
	OPT_END
};

static int repair_run(struct frame *f, void *v)
{
	const struct repair_args *a = v;
	struct pd_cache_repair_opts o = {
		.size = sizeof(o), .block_size = a->block_size, .nr_cache_blocks = a->nr_cache_blocks,
		.has_generation = a->has_generation, .generation = a->generation,
	};
	struct pd_cache_repair_result res;
	struct pd_sink sink = { .write = text_write };
	struct text_out *report = NULL;
	struct pd_io *in, *out = NULL;
	int r;

	if (a->has_block_size != a->has_nr_cache_blocks)
		return usage_error(f, "--block-size and --nr-cache-blocks belong together");
	if (a->has_block_size && (!a->block_size || !a->nr_cache_blocks))
		return usage_error(f, "--block-size and --nr-cache-blocks cannot be 0");
	if (a->has_generation && !a->has_block_size)
		return usage_error(f, "--generation needs --block-size and --nr-cache-blocks");
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
		r = pd_cache_repair(in, out, &o, &f->run, &res) ? EXIT_BAD : EXIT_CLEAN;
		if (out)
			signals_release();
		if (!r && a->dry_run && !f->quiet)
			printf("mappings kept: %" PRIu64 "\nmetadata blocks needed: %" PRIu64 "\n", res.nr_kept,
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

const struct command cache_repair_cmd = {
	.name = "cache_repair",
	.about = "Saves what can be saved of damaged cache metadata",
	.opts = repair_opts,
	.args_size = sizeof(struct repair_args),
	.takes_quiet = true,
	.ignores_operand = true,
	.run = repair_run,
};
