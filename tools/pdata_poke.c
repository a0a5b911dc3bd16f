/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pdata_poke: shows and changes fields of single blocks, for tests and for people who must know. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <pdata/err.h>
#include <pdata/fields.h>
#include "tools/frame.h"

struct args {
	const char *file, *block, *verb, *kind;
	bool keep_checksum;
};

static const struct opt opts[] = {
	OPT_STR(0, "as", "KIND", args, kind, 0,
		"Take the block for this kind, whatever its checksum says"),
	OPT_FLAG('k', "keep-checksum", args, keep_checksum, "Do not mend the checksum"),
	OPT_ARG("FILE", args, file, OPT_REQUIRED, "Metadata device or file"),
	OPT_ARG("BLOCK", args, block, OPT_REQUIRED,
		"Number of the block, or a path of fields that leads to it, such as "
		"data_mapping_root/values[0]"),
	OPT_ARG("VERB", args, verb, OPT_REQUIRED,
		"show [FIELD]..., set FIELD=VALUE..., seal, zero, corrupt [OFFSET], copy TO, swap WITH"),
	OPT_END
};

#define NR_FIXED 3	/* operands of the table: those of the verb follow */

/* What a verb works on. */
struct poke {
	struct frame *f;
	const struct args *a;
	struct pd_io *io;
	uint64_t nr;
	uint8_t *block, *other;
	const char **words;
	int nr_words;
};

static int read_block(struct frame *f, struct pd_io *io, uint64_t nr, void *block)
{
	int r = nr < pd_io_nr_blocks(io) ? pd_io_read(io, nr, 1, block) : -ERANGE;

	if (!r)
		return 0;
	return fail(f, "block %" PRIu64 " cannot be read: %s", nr,
		    r == -ERANGE ? "it is beyond the end" : pd_strerror(r));
}

static int write_block(struct frame *f, struct pd_io *io, uint64_t nr, const void *block)
{
	int r = nr < pd_io_nr_blocks(io) ? pd_io_write(io, nr, 1, block) : -ERANGE;

	if (!r)
		return 0;
	return fail(f, "block %" PRIu64 " cannot be written: %s", nr,
		    r == -ERANGE ? "it is beyond the end" : pd_strerror(r));
}

static bool number(const char *s, uint64_t *n)
{
	if (!*s || strspn(s, "0123456789") != strlen(s))
		return false;
	errno = 0;
	*n = strtoull(s, NULL, 10);
	return !errno;
}

/* The kind a block is taken for, or NULL after a message. */
static const char *kind_of(const struct poke *p)
{
	const char *kind = p->a->kind ? p->a->kind : pd_block_kind_of(p->block);

	if (!kind)
		fail(p->f, "block %" PRIu64 " has no valid checksum: say with --as what it is", p->nr);
	return kind;
}

static int no_field(const struct poke *p, const char *name, int r)
{
	return fail(p->f, "%s: %s", name, r == -ENOENT ? "there is no such field" :
		    r == -ERANGE ? "that is outside the block" :
		    p->a->kind ? "not a value it can have, or not a kind of block" :
		    "not a value it can have");
}

/* "7", "data_mapping_root/values[0]" or "7/values[0]": each field's value is the next block. */
static int resolve(struct poke *p, const char *path)
{
	char name[128], value[PD_FIELD_VALUE_MAX];
	bool first = true;

	p->nr = 0;
	while (*path) {
		size_t len = strcspn(path, "/");
		const char *kind;
		int r;

		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		path += len + (path[len] == '/');
		if (first && number(name, &p->nr)) {
			first = false;
			continue;
		}
		first = false;
		if (read_block(p->f, p->io, p->nr, p->block))
			return EXIT_BAD;
		kind = pd_block_kind_of(p->block);
		if (!kind)
			return fail(p->f, "block %" PRIu64 " on the way to '%s' has no valid checksum",
				    p->nr, name);
		r = pd_field_get(p->block, kind, name, value);
		if (r)
			return no_field(p, name, r);
		if (!number(value, &p->nr))
			return fail(p->f, "%s is not a block number", name);
	}
	return 0;
}

static int print(void *ctx, const char *name, const char *value)
{
	(void)ctx;
	printf("%s=%s\n", name, value);
	return 0;
}

static int show(struct poke *p)
{
	const char *kind = kind_of(p);
	char value[PD_FIELD_VALUE_MAX];
	int r = 0;

	if (!kind)
		return EXIT_BAD;
	for (int i = 0; i < p->nr_words; i++) {
		r = pd_field_get(p->block, kind, p->words[i], value);
		if (r)
			return no_field(p, p->words[i], r);
		print(NULL, p->words[i], value);
	}
	if (p->nr_words)
		return EXIT_CLEAN;
	printf("block=%" PRIu64 "\nkind=%s\n", p->nr, kind);
	return pd_field_each(p->block, kind, print, NULL) ? fail(p->f, "'%s' is not a kind of block", kind) :
	       EXIT_CLEAN;
}

static int put_back(struct poke *p, const char *kind)
{
	if (!p->a->keep_checksum && pd_block_seal(p->block, kind))
		return fail(p->f, "'%s' is not a kind of block", kind);
	return write_block(p->f, p->io, p->nr, p->block);
}

static int set(struct poke *p)
{
	const char *kind = kind_of(p);

	if (!kind)
		return EXIT_BAD;
	if (!p->nr_words)
		return usage_error(p->f, "set needs FIELD=VALUE");
	for (int i = 0; i < p->nr_words; i++) {
		const char *eq = strchr(p->words[i], '=');
		char name[128];
		int r;

		if (!eq)
			return usage_error(p->f, "'%s' is not FIELD=VALUE", p->words[i]);
		snprintf(name, sizeof(name), "%.*s", (int)(eq - p->words[i]), p->words[i]);
		r = pd_field_set(p->block, kind, name, eq + 1);
		if (r)
			return no_field(p, p->words[i], r);
	}
	return put_back(p, kind);
}

static int seal(struct poke *p)
{
	const char *kind = kind_of(p);

	return kind ? put_back(p, kind) : EXIT_BAD;
}

static int zero(struct poke *p)
{
	memset(p->block, 0, PD_BLOCK_SIZE);
	return write_block(p->f, p->io, p->nr, p->block);
}

static int corrupt(struct poke *p)
{
	uint64_t at = PD_BLOCK_SIZE / 2;

	if (p->nr_words && (!number(p->words[0], &at) || at >= PD_BLOCK_SIZE))
		return usage_error(p->f, "'%s' is no offset in a block", p->words[0]);
	p->block[at] ^= 0x10;
	return write_block(p->f, p->io, p->nr, p->block);
}

static int copy(struct poke *p)
{
	uint64_t to;

	if (!p->nr_words || !number(p->words[0], &to))
		return usage_error(p->f, "copy needs the number of another block");
	return write_block(p->f, p->io, to, p->block);
}

static int swap(struct poke *p)
{
	uint64_t with;
	int r;

	if (!p->nr_words || !number(p->words[0], &with))
		return usage_error(p->f, "swap needs the number of another block");
	r = read_block(p->f, p->io, with, p->other);
	if (!r)
		r = write_block(p->f, p->io, with, p->block);
	if (!r)
		r = write_block(p->f, p->io, p->nr, p->other);
	return r;
}

static const struct verb {
	const char *name;
	int (*run)(struct poke *p);
	int max_words;
} verbs[] = {
	{ "show", show, 1 << 20 }, { "set", set, 1 << 20 }, { "seal", seal, 0 }, { "zero", zero, 0 },
	{ "corrupt", corrupt, 1 }, { "copy", copy, 1 }, { "swap", swap, 1 },
};

static int run(struct frame *f, void *v)
{
	const struct args *a = v;
	struct poke p = { .f = f, .a = a, .words = f->operands + NR_FIXED,
			  .nr_words = f->nr_operands - NR_FIXED };
	const struct verb *verb = NULL;
	int r;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(verbs[i].name, a->verb))
			verb = &verbs[i];
	if (!verb)
		return usage_error(f, "there is no verb '%s'", a->verb);
	if (p.nr_words > verb->max_words)
		return usage_error(f, "unexpected argument '%s' found", p.words[verb->max_words]);
	r = open_input(f, a->file, verb->run == show ? 0 : PD_IO_WRITE, &p.io);
	if (r)
		return r;
	p.block = pd_io_buffer(1);
	p.other = pd_io_buffer(1);
	r = p.block && p.other ? resolve(&p, a->block) : fail(f, "out of memory");
	if (!r)
		r = read_block(f, p.io, p.nr, p.block);
	if (!r)
		r = verb->run(&p);
	if (!r && verb->run != show && pd_io_flush(p.io))
		r = fail(f, "what was written may not be on stable storage");
	pd_io_close(p.io);
	free(p.block);
	free(p.other);
	return r;
}

const struct command pdata_poke_cmd = {
	.name = "pdata_poke",
	.about = "Shows and changes any field of any block by name",
	.opts = opts,
	.args_size = sizeof(struct args),
	.takes_more_operands = true,
	.run = run,
};
