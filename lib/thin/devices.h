/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which devices there are: the details tree and the upper mapping tree, both small. */
#ifndef PD_THIN_DEVICES_H
#define PD_THIN_DEVICES_H

#include "thin/dump.h"

/**
 * thin_devices_read() - devices as both trees say, ascending.
 * @slots: of the same metadata; nodes of the upper tree are marked in them (SLOT_UPPER).
 * @only: these @nr_only ids alone; 0 means all.
 * @devices: free() it.
 *
 * Return: 0; -EUCLEAN with a message if a tree is damaged or the two disagree; -ENOMEM.
 */
int thin_devices_read(struct pd_io *io, struct slots *slots, const struct thin_superblock *sb,
		      const uint32_t *only, unsigned nr_only, struct pd_log *log,
		      struct thin_view_device **devices, unsigned *nr);

#endif
