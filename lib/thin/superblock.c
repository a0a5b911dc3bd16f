/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <pdata/err.h>
#include <pdata/problems.h>
#include "persistent-data/metadata.h"
#include "thin/dump.h"

static int judge(struct pd_io *io, const void *buf, uint64_t block, const char *what, struct pd_log *log)
{
	const struct thin_superblock *sb = buf;

	if (block_kind(buf) != KIND_THIN_SB) {
		pd_log(log, PD_LOG_ERR, "bad checksum in superblock%s%s [%s]", what,
		       superblock_hint(io, block), pd_problem_row(PD_PR_SB_CSUM)->name);
		return -EUCLEAN;
	}
	if (le64_get(sb->magic) != THIN_MAGIC) {
		pd_log(log, PD_LOG_ERR, "superblock%s: wrong magic number %" PRIu64 " [%s]", what,
		       le64_get(sb->magic), pd_problem_row(PD_PR_SB_MAGIC)->name);
		return -EUCLEAN;
	}
	if (le64_get(sb->blocknr) != block) {
		pd_log(log, PD_LOG_ERR, "superblock%s: found in block %" PRIu64 ", but says it belongs "
		       "in block %" PRIu64 " [%s]", what, block, le64_get(sb->blocknr),
		       pd_problem_row(PD_PR_SB_LOCATION)->name);
		return -EUCLEAN;
	}
	return 0;
}

static int read_one(struct pd_io *io, uint64_t block, const char *what, struct pd_log *log,
		    struct thin_superblock *sb)
{
	void *buf = pd_io_buffer(1);
	int r;

	if (!buf)
		return -ENOMEM;
	r = block < pd_io_nr_blocks(io) ? pd_io_read(io, block, 1, buf) : -EIO;
	if (r)
		pd_log(log, PD_LOG_ERR, "superblock%s: cannot read block %" PRIu64 ": %s", what,
		       block, pd_strerror(r));
	else
		r = judge(io, buf, block, what, log);
	if (!r)
		memcpy(sb, buf, sizeof(*sb));
	free(buf);
	return r;
}

int thin_sb_read(struct pd_io *io, bool snap, const uint64_t *snap_block, struct pd_log *log,
		 struct thin_superblock *sb)
{
	uint64_t held;
	int r = read_one(io, SB_LOCATION, "", log, sb);

	if (r || !snap)
		return r;
	held = le64_get(sb->held_root);
	if (!held) {
		pd_log(log, PD_LOG_ERR, "no current metadata snap");
		return -ENODATA;
	}
	if (snap_block && *snap_block != held) {
		pd_log(log, PD_LOG_ERR, "metadata snapshot does not match that in superblock "
		       "(it is in block %" PRIu64 ")", held);
		return -EINVAL;
	}
	return read_one(io, held, " of the metadata snapshot", log, sb);
}
