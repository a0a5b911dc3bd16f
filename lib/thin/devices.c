/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <pdata/err.h>
#include "thin/devices.h"
#include "thin/mappings.h"

/*
 * A walk through one small tree in key order. Ranges of keys shrink from level to level, so a
 * cycle runs out of keys or of depth.
 */
struct walk {
	struct pd_io *io;
	struct pd_log *log;
	const char *what;
	uint32_t value_size;
	struct slots *mark;		/* its nodes get SLOT_UPPER here; or NULL */
	int (*entry)(void *ctx, uint64_t key, const void *value);
	void *ctx;
	uint8_t *bufs;			/* MAX_TREE_DEPTH blocks */
};

struct level {
	const struct node_header *n;
	uint32_t i;
	uint64_t last;			/* no key above it */
};

static int damaged(struct walk *w, uint64_t block, const char *why)
{
	pd_log(w->log, PD_LOG_ERR, "%s: block %" PRIu64 ": %s", w->what, block, why);
	return -EUCLEAN;
}

/* Reads the node at @block whose keys must be from @first to @last. */
static int load(struct walk *w, uint64_t block, uint64_t first, uint64_t last, unsigned depth,
		struct level *l)
{
	void *buf;
	uint32_t nr;
	int r;

	if (depth == MAX_TREE_DEPTH)
		return damaged(w, block, "tree is too deep");
	if (!block || block >= pd_io_nr_blocks(w->io))
		return damaged(w, block, "outside the metadata");
	buf = w->bufs + (size_t)depth * PD_BLOCK_SIZE;
	r = pd_io_read(w->io, block, 1, buf);
	if (r)
		return damaged(w, block, pd_strerror(r));
	if (block_kind(buf) != KIND_NODE)
		return damaged(w, block, "bad checksum or not a btree node");
	if (block_nr(buf, KIND_NODE) != block)
		return damaged(w, block, "block says it belongs elsewhere");
	if (node_check(buf, w->value_size))
		return damaged(w, block, "bad btree node");
	if (w->mark && block < w->mark->nr_blocks)
		w->mark->slot[block].flags |= SLOT_UPPER;
	*l = (struct level){ .n = buf, .last = last };
	nr = le32_get(l->n->nr_entries);
	if (nr && (node_key(l->n, 0) < first || node_key(l->n, nr - 1) > last))
		return damaged(w, block, "keys are outside of what its parent says");
	return 0;
}

static int walk(struct walk *w, uint64_t root)
{
	struct level level[MAX_TREE_DEPTH + 1];
	unsigned depth = 1;
	int r = load(w, root, 0, UINT64_MAX, 0, &level[0]);

	while (!r && depth) {
		struct level *l = &level[depth - 1];
		uint32_t i = l->i++;

		if (i == le32_get(l->n->nr_entries)) {
			depth--;
		} else if (le32_get(l->n->flags) == NODE_LEAF) {
			r = w->entry(w->ctx, node_key(l->n, i), node_value_ptr(l->n, i));
		} else {
			uint64_t last = i + 1 < le32_get(l->n->nr_entries) ?
					node_key(l->n, i + 1) - 1 : l->last;

			r = load(w, node_value64(l->n, i), node_key(l->n, i), last, depth,
				 &level[depth]);
			depth++;
		}
	}
	return r;
}

struct gather {
	struct pd_log *log;
	const uint32_t *only;
	unsigned nr_only;
	struct thin_view_device *devices;
	size_t nr, max;
	size_t at;			/* upper tree: next device expected */
};

static bool wanted(const struct gather *g, uint64_t key)
{
	for (unsigned i = 0; i < g->nr_only; i++)
		if (g->only[i] == key)
			return true;
	return !g->nr_only;
}

static int take_details(void *ctx, uint64_t key, const void *value)
{
	struct gather *g = ctx;
	struct thin_device_details d;

	if (!wanted(g, key))
		return 0;
	if (key > UINT32_MAX) {
		pd_log(g->log, PD_LOG_ERR, "device details: %" PRIu64 " is no device id", key);
		return -EUCLEAN;
	}
	if (g->nr == g->max) {
		size_t max = g->max ? g->max * 2 : 64;
		void *grown = realloc(g->devices, max * sizeof(*g->devices));

		if (!grown)
			return -ENOMEM;
		g->devices = grown;
		g->max = max;
	}
	memcpy(&d, value, sizeof(d));
	g->devices[g->nr++] = (struct thin_view_device){
		.details = {
			.dev_id = (uint32_t)key,
			.mapped_blocks = le64_get(d.mapped_blocks),
			.transaction = le64_get(d.transaction_id),
			.creation_time = le32_get(d.creation_time),
			.snap_time = le32_get(d.snapshotted_time),
		},
	};
	return 0;
}

static int disagree(struct gather *g, uint64_t id, const char *why)
{
	pd_log(g->log, PD_LOG_ERR, "thin device %" PRIu64 " %s", id, why);
	return -EUCLEAN;
}

/* Both trees ascend, so devices and roots meet in step. */
static int take_root(void *ctx, uint64_t key, const void *value)
{
	struct gather *g = ctx;
	le64 root;

	if (!wanted(g, key))
		return 0;
	if (g->at < g->nr && g->devices[g->at].details.dev_id < key)
		return disagree(g, g->devices[g->at].details.dev_id, "has details but no mappings");
	if (g->at == g->nr || g->devices[g->at].details.dev_id != key)
		return disagree(g, key, "has mappings but no details");
	memcpy(&root, value, sizeof(root));
	g->devices[g->at++].root = le64_get(root);
	return 0;
}

int thin_devices_read(struct pd_io *io, struct slots *slots, const struct thin_superblock *sb,
		      const uint32_t *only, unsigned nr_only, struct pd_log *log,
		      struct thin_view_device **devices, unsigned *nr)
{
	struct gather g = { .log = log, .only = only, .nr_only = nr_only };
	struct walk w = { .io = io, .log = log, .ctx = &g, .bufs = pd_io_buffer(MAX_TREE_DEPTH) };
	int r = -ENOMEM;

	*devices = NULL;
	*nr = 0;
	if (!w.bufs)
		return r;
	w.what = "device details";
	w.value_size = sizeof(struct thin_device_details);
	w.entry = take_details;
	r = walk(&w, le64_get(sb->device_details_root));
	if (!r) {
		w.what = "mapping tree";
		w.value_size = sizeof(le64);
		w.mark = slots;
		w.entry = take_root;
		r = walk(&w, le64_get(sb->data_mapping_root));
	}
	if (!r && g.at < g.nr)
		r = disagree(&g, g.devices[g.at].details.dev_id, "has details but no mappings");
	free(w.bufs);
	if (r) {
		free(g.devices);
		return r;
	}
	*devices = g.devices;
	*nr = (unsigned)g.nr;
	return 0;
}
