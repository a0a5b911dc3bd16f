/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From slots to a dump: which leaves make up each device, what the devices share, and the mappings
 * in order.
 *
 * A caller fills a struct thin_view: slots of the inner nodes it knows (others are read), and a list
 * of devices with their roots. thin_dump() reads them from the superblock; repair hands in slots
 * it has edited (slots_set_children()) and devices as it decided.
 *
 * Sharing costs 16 bytes a leaf: its neighbours, where they are always the same, and the bound its
 * parents set. A *run* is a maximal row of leaves each of which is followed by the next one wherever
 * it is used, and used more than once; it becomes a def.
 */
#ifndef PD_THIN_DUMP_H
#define PD_THIN_DUMP_H

#include <pdata/thin.h>
#include "meta/slots.h"
#include "thin/records.h"

struct thin_view_device {
	struct thin_device_record details;
	uint64_t root;
	bool lost;		/* no tree is wanted or left: dumped without mappings */
};

struct thin_view {
	struct slots *slots;
	const struct pd_run *run;
	struct thin_view_device *devices;	/* ascending dev_id */
	unsigned nr_devices;
	/*
	 * Leave out what is not SLOT_OK or not where it belongs, and go on. Without it such a thing
	 * is an error. Leaves not yet read by slots_read() are judged when they are dumped.
	 */
	bool step_over;
	bool expand;		/* no defs, whatever is shared; implied by a single device */
	/*
	 * Fills slots and devices once the superblock has been handed on, for those who do not know
	 * them before; or NULL. 0, or an error that ends the dump.
	 */
	int (*load)(struct thin_view *v);
};

/**
 * thin_view_emit() - one whole metadata into an emitter, on the caller's thread.
 * @sb: what to say of the superblock; @e->superblock() is called before any tree is walked.
 *
 * Leaves are read and decoded on worker threads; the result does not depend on their number.
 *
 * Return: 0, -EUCLEAN with a message (without step_over), -ENOMEM, or what the emitter returned.
 */
int thin_view_emit(struct thin_view *v, const struct thin_sb_record *sb, struct thin_emitter *e);

/**
 * thin_view_text() - the same as text, formatted on the worker threads too.
 * @sink: called by one thread at a time, not always the same one.
 */
int thin_view_text(struct thin_view *v, const struct thin_sb_record *sb, enum pd_text_format format,
		   bool final_newline, const struct pd_sink *sink);

/**
 * thin_sb_read() - the superblock, or the metadata snapshot's, checked as far as a dump needs it.
 * @snap: read what held_root names instead; -ENODATA if there is none.
 * @snap_block: what held_root must be, or NULL.
 *
 * Messages are the fixed texts of the command line contract. 0, -EUCLEAN, -EIO, -ENODATA, -EINVAL.
 */
int thin_sb_read(struct pd_io *io, bool snap, const uint64_t *snap_block, struct pd_log *log,
		 struct thin_superblock *sb);

#endif
