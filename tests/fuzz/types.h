/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a campaign does with metadata, said once for each type. */
#ifndef FUZZ_TYPES_H
#define FUZZ_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pdata/meta.h>
#include <pdata/text.h>
#include "persistent-data/disk.h"

/* How check is to mend, and with which numbers repair is to help itself. */
enum fuzz_mend { FUZZ_LOOK, FUZZ_AUTO_REPAIR, FUZZ_CLEAR_NEEDS_CHECK };

struct fuzz_numbers {
	bool given;
	uint64_t a, b;		/* block or region size; number of blocks, or of sectors */
	unsigned unreadable;	/* clone: enum pd_clone_unreadable */
};

/* A method a type does not have is NULL. */
struct fuzz_type {
	const char *name;
	enum block_kind sb;
	size_t sm_root_at;	/* of the metadata space map's root, in the superblock */
	bool in_place_clears;	/* check takes FUZZ_CLEAR_NEEDS_CHECK */
	int (*check)(struct pd_io *io, enum fuzz_mend mend, const struct pd_run *run,
		     struct pd_check_result *res);
	int (*dump)(struct pd_io *io, const struct pd_run *run, const struct pd_sink *out);
	int (*restore)(const struct pd_source *xml, struct pd_io *out, const struct pd_run *run);
	int (*repair)(struct pd_io *in, struct pd_io *out, const struct fuzz_numbers *n,
		      const struct pd_run *run);
	/* What repair would write, as text; without numbers. */
	int (*repair_dump)(struct pd_io *in, const struct fuzz_numbers *n, const struct pd_run *run,
			   const struct pd_sink *out);
	int (*in_place)(struct pd_io *io, const struct pd_run *run);
	/* Readers of other kinds: whatever they return, they must not crash. */
	void (*others)(struct pd_io *io, const struct pd_run *run, const struct pd_sink *aside);
};

#define FUZZ_NR_TYPES 4
extern const struct fuzz_type fuzz_types[FUZZ_NR_TYPES];

/* generate.c: metadata of a shape that small kernel images lack, by a name such as "thin:2"; the same each
 * time. NULL if there is no such name. */
struct pd_io *fuzz_generate(const char *name);

#endif
