/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <pdata/err.h>
#include "thin/devices.h"
#include "thin/dump.h"

struct dump {
	struct thin_view v;
	struct slots slots;
	struct thin_superblock sb;
	struct pd_io *io;
	const struct pd_thin_dump_opts *o;
};

static struct thin_sb_record sb_record(const struct dump *d)
{
	const struct pd_thin_overrides *o = &d->o->overrides;
	const struct thin_superblock *sb = &d->sb;

	return (struct thin_sb_record){
		.time = le32_get(sb->time),
		.transaction = o->has_transaction_id ? o->transaction_id : le64_get(sb->trans_id),
		.flags = le32_get(sb->flags),
		.version = le32_get(sb->version),
		.data_block_size = o->has_data_block_size ? o->data_block_size :
							    le32_get(sb->data_block_size),
		.nr_data_blocks = o->has_nr_data_blocks ? o->nr_data_blocks :
				  le64_get(sm_root_get(sb->data_space_map_root).nr_blocks),
	};
}

static int load(struct thin_view *v)
{
	struct dump *d = container_of(v, struct dump, v);
	int r = thin_devices_read(d->io, v->slots, &d->sb, d->o->dev_ids, d->o->nr_dev_ids, v->run->log,
				  &v->devices, &v->nr_devices);

	for (unsigned i = 0; i < v->nr_devices && !r; i++)
		v->devices[i].lost = d->o->skip_mappings;
	return r;
}

int pd_thin_dump(struct pd_io *io, const struct pd_thin_dump_opts *o, const struct pd_run *run,
		 const struct pd_sink *out)
{
	struct dump d = { .v = { .run = run, .slots = &d.slots, .load = load }, .io = io, .o = o };
	struct thin_sb_record rec;
	int r;

	if (o->size != sizeof(*o))
		return -EINVAL;
	r = thin_sb_read(io, o->metadata_snap, o->has_snap_block ? &o->snap_block : NULL, run->log,
			 &d.sb);
	if (r)
		return r;
	r = slots_init(&d.slots, io);
	if (r)
		return r;
	rec = sb_record(&d);
	r = thin_view_text(&d.v, &rec, o->format, o->final_newline, out);
	if (r == -EUCLEAN)
		pd_log(run->log, PD_LOG_ERR, "the metadata is damaged: thin_check gives details, "
		       "and a dump with --repair may save the rest");
	free(d.v.devices);
	slots_exit(&d.slots);
	return r;
}
