/* SPDX-License-Identifier: GPL-2.0-or-later */
/* thin_repair: what can be saved of a pool's damaged metadata, as new metadata. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <pdata/thin.h>
#include "tools/frame.h"

struct args {
	const char *input, *output, *report, *stop_after;
	uint64_t transaction_id, nr_data_blocks, generation;
	uint32_t data_block_size;
	bool has_transaction_id, has_data_block_size, has_nr_data_blocks, has_generation;
	bool strict, dry_run, in_place;
};

static const struct opt opts[] = {
	OPT_STR_UNLESS('i', "input", "FILE", args, input, "Damaged metadata device or file; only read",
		       "in-place"),
	OPT_STR_UNLESS('o', "output", "FILE", args, output, "Metadata device or file to overwrite",
		       "in-place", "dry-run"),
	OPT_U64(0, "transaction-id", "N", args, transaction_id, has_transaction_id,
		"Transaction id to write instead of what is found"),
	OPT_U32(0, "data-block-size", "SECTORS", args, data_block_size, has_data_block_size,
		"Data block size to write instead of what is found"),
	OPT_U64(0, "nr-data-blocks", "N", args, nr_data_blocks, has_nr_data_blocks,
		"Number of data blocks to write instead of what is found"),
	OPT_FLAG(0, "dry-run", args, dry_run, "Write nothing; print what would be saved"),
	OPT_FLAG(0, "strict", args, strict, "Fail if anything is lost or in doubt"),
	OPT_STR(0, "report", "FILE", args, report, 0, "Write what is kept and lost to FILE, as JSON"),
	OPT_U64(0, "generation", "BLOCKNR", args, generation, has_generation,
		"Take this generation, which the report names by its index block"),
	OPT_FLAG(0, "in-place", args, in_place,
		 "Write new space maps on the device itself, which is the operand; all trees must be sound"),
	OPT_STR(0, "debug-stop-after", "PHASE", args, stop_after, OPT_HIDDEN,
		"With --in-place: end after data-space-map or metadata-space-map, for tests"),
	OPT_END
};

static void before_write(void *f)
{
	signals_guard(f, NULL);
}

static int in_place(struct frame *f, const struct args *a)
{
	static const char *const phases[] = {
		[PD_THIN_PHASE_DATA_SM] = "data-space-map", [PD_THIN_PHASE_METADATA_SM] = "metadata-space-map",
	};
	struct pd_thin_in_place_opts o = { .size = sizeof(o), .on_write = before_write, .ctx = f };
	struct pd_io *io;
	int r;

	for (unsigned i = PD_THIN_PHASE_DATA_SM; a->stop_after && i < PD_THIN_NR_PHASES; i++)
		if (!strcmp(a->stop_after, phases[i]))
			o.stop_after = (enum pd_thin_phase)i;
	if (a->stop_after && !o.stop_after)
		return usage_error(f, "there is no phase '%s'", a->stop_after);
	if (f->nr_operands != 1)
		return usage_error(f, "--in-place takes the device as its operand");
	r = open_input(f, f->operands[0], PD_IO_WRITE, &io);
	if (r)
		return r;
	r = pd_thin_repair_in_place(io, &o, &f->run) ? EXIT_BAD : EXIT_CLEAN;
	signals_release();
	pd_io_close(io);
	return r;
}

static void print_result(const struct pd_thin_repair_result *res)
{
	printf("devices: %" PRIu64 "\nmappings kept: %" PRIu64 "\nmappings lost: %" PRIu64
	       "\ngenerations: %" PRIu64 "\nmetadata blocks needed: %" PRIu64 "\n",
	       res->nr_devices, res->nr_kept, res->nr_lost, res->nr_generations, res->nr_needed);
	if (res->snapshot_dropped)
		printf("metadata snapshot: not carried over\n");
}

static int run(struct frame *f, void *v)
{
	const struct args *a = v;
	struct pd_thin_repair_opts o = {
		.size = sizeof(o),
		.overrides = {
			.has_transaction_id = a->has_transaction_id,
			.has_data_block_size = a->has_data_block_size,
			.has_nr_data_blocks = a->has_nr_data_blocks,
			.transaction_id = a->transaction_id,
			.data_block_size = a->data_block_size,
			.nr_data_blocks = a->nr_data_blocks,
		},
		.dry_run = a->dry_run,
		.has_generation = a->has_generation,
		.generation = a->generation,
	};
	struct pd_thin_repair_result res = { .nr_devices = 0 };
	struct pd_io *in = NULL, *out = NULL;
	struct text_out *report = NULL;
	struct pd_sink sink = { .write = text_write };
	int r;

	if (a->in_place)
		return in_place(f, a);
	r = open_input(f, a->input, 0, &in);
	if (!r && !a->dry_run)
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
		r = pd_thin_repair(in, out, &o, &f->run, &res) ? EXIT_BAD : EXIT_CLEAN;
		if (out)
			signals_release();
		if (!r && a->dry_run && !f->quiet)
			print_result(&res);
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

const struct command thin_repair_cmd = {
	.name = "thin_repair",
	.about = "Saves what can be saved of damaged thin pool metadata",
	.opts = opts,
	.conflicts = {
		{ "in-place", "input" }, { "in-place", "output" }, { "in-place", "dry-run" }, { "in-place", "report" }, { "in-place", "generation" },
		{ "in-place", "transaction-id" }, { "in-place", "data-block-size" },
		{ "in-place", "nr-data-blocks" },
	},
	.args_size = sizeof(struct args),
	.takes_quiet = true,
	.ignores_operand = true,
	.run = run,
};
