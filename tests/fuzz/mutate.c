/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Metadata of all types, mutated with most checksums mended, through everything that reads or mends it, in one process.
 *
 * usage: mutate FIRST-SEED NR IMAGE...
 *
 * An IMAGE is a file, or a name such as "thin:deep" of generate.c. With NR 1 everything that is said goes to
 * standard error, the image to mutated.img, and what was repaired to repaired.img.
 *
 * What must hold, besides not crashing, for whatever the bytes are: see one().
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "fuzz/mutations.h"
#include "io/engines.h"

#define MAX_SECONDS 5		/* of processor time, an image */
#define MAX_TEXT (32u << 20)	/* longer dumps end early */
#define MAX_KEPT (2u << 20)	/* longer ones are not restored */
#define MAX_SAID (1u << 20)
#define OUT_BLOCKS 20000u
#define MAX_MIB 200	/* 128 for the library; the rest is for images and texts in memory */

static bool aloud;
static unsigned nr_sound, nr_mended, nr_repaired;	/* shows that all branches are met */
static uint64_t seed;
static const char *doing = "";

/* ---- A process that dies says of what seed ---- */

static void put_number(uint64_t n)
{
	char digits[24];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	if (write(STDOUT_FILENO, digits + at, sizeof(digits) - at) < 0)
		_exit(1);
}

static void last_words(void)
{
	static const char a[] = "seed ", b[] = " died: ";

	if (write(STDOUT_FILENO, a, sizeof(a) - 1) < 0)
		_exit(1);
	put_number(seed);
	if (write(STDOUT_FILENO, b, sizeof(b) - 1) < 0 ||
	    write(STDOUT_FILENO, doing, strlen(doing)) < 0 || write(STDOUT_FILENO, "\n", 1) < 0)
		_exit(1);
}

static void died(int sig)
{
	last_words();
	signal(sig, SIG_DFL);
	raise(sig);
}

void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

static void watch(void)
{
	signal(SIGABRT, died);
	signal(SIGALRM, died);	/* a hang */
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(last_words);
	else
		signal(SIGSEGV, died);
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- Memory: how far the most that was resident rose, from where it is ---- */

static long status_kib(const char *field)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)))
			kib = strtol(line + strlen(field), NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

/* -1 where it cannot be told: sanitizers keep what was freed. */
static long resident_now(void)
{
	FILE *f = __sanitizer_set_death_callback ? NULL : fopen("/proc/self/clear_refs", "w");
	bool reset = f && fputs("5", f) >= 0;

	if (f && fclose(f))
		reset = false;
	return reset ? status_kib("VmRSS:") : -1;
}

/* ---- What is said and dumped ---- */

struct text {
	char *data;		/* the first MAX_KEPT bytes; NULL if only the hash is wanted */
	size_t len, at;		/* @at: read so far by a restore */
	uint64_t hash;
};

static void hash_on(struct text *t, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		t->hash = (t->hash ^ p[i]) * 0x100000001b3u;
	t->len += len;
}

static int take(void *ctx, const void *data, size_t len)
{
	struct text *t = ctx;

	if (t->data && t->len < MAX_KEPT)
		memcpy(t->data + t->len, data, min_t(size_t, len, MAX_KEPT - t->len));
	hash_on(t, data, len);
	return t->len > MAX_TEXT ? -EFBIG : 0;
}

static ssize_t give(void *ctx, void *data, size_t len)
{
	struct text *t = ctx;
	size_t n = min_t(size_t, len, t->len - t->at);

	memcpy(data, t->data + t->at, n);
	t->at += n;
	return (ssize_t)n;
}

static void hear(void *ctx, enum pd_log_level level, const char *said)
{
	(void)level;
	if (aloud)
		fprintf(stderr, "%s\n", said);
	hash_on(ctx, said, strlen(said));
}

/* Buffers that every image uses again. */
static struct text texts[4];

static struct text *text(unsigned i)
{
	struct text *t = &texts[i];

	if (!t->data && !(t->data = malloc(MAX_KEPT)))
		abort();
	t->len = t->at = 0;
	t->hash = 1;
	return t;
}

static bool same_text(const struct text *a, const struct text *b)
{
	return a->len == b->len && a->hash == b->hash;
}

static bool restorable(const struct text *t)
{
	return t->len && t->len < MAX_KEPT;
}

static bool has_defs(const struct text *t)
{
	return memmem(t->data, min_t(size_t, t->len, MAX_KEPT), "<def ", 5);
}

/* ---- Operations, each with a log of its own ---- */

static int check(const struct fuzz_type *t, struct pd_io *io, unsigned threads, enum fuzz_mend mend,
		 struct text *said, struct pd_check_result *res)
{
	struct pd_log log = { hear, said, PD_LOG_DEBUG };
	struct pd_run run = { .log = &log, .nr_threads = threads };

	*said = (struct text){ .hash = 1 };
	if (aloud)
		fprintf(stderr, "-- %s, %u threads\n", mend == FUZZ_LOOK ? "check" : "mend", threads);
	return t->check(io, mend, &run, res);
}

static int dump(int (*fn)(struct pd_io *, const struct pd_run *, const struct pd_sink *), struct pd_io *io,
		unsigned threads, struct text *out)
{
	struct text said = { .hash = 1 };
	struct pd_log log = { hear, &said, PD_LOG_DEBUG };
	struct pd_run run = { .log = &log, .nr_threads = threads };
	struct pd_sink sink = { take, out };

	return fn(io, &run, &sink);
}

static struct pd_io *fresh(void)
{
	struct pd_io *io;

	if (pd_io_open_ram(&io, OUT_BLOCKS))
		abort();
	return io;
}


/* Metadata made from @xml, checked clean; NULL and why. */
static struct pd_io *restored(const struct fuzz_type *t, struct text *xml, const char **why)
{
	struct pd_source src = { give, xml };
	struct text said = { .hash = 1 };
	struct pd_log log = { hear, &said, PD_LOG_DEBUG };
	struct pd_run run = { .log = &log, .nr_threads = 1 };
	struct pd_io *io = fresh();
	struct pd_check_result res;
	int r;

	xml->at = 0;
	r = t->restore(&src, io, &run);
	if (r)
		*why = r == -ENOSPC ? NULL : "a dump cannot be restored";
	else if (check(t, io, 1, FUZZ_LOOK, &said, &res) || res.worst > PD_SEV_WARN)
		*why = "what was restored does not check";
	else
		return io;
	pd_io_close(io);
	return NULL;
}

/* The text after restoring and dumping it @rounds times. False if it cannot be (*@why if that is wrong). */
static bool again(const struct fuzz_type *t, struct text *from, unsigned spare, unsigned rounds, struct text **to,
		  const char **why)
{
	for (unsigned i = 0; i < rounds; i++) {
		struct pd_io *io = restored(t, from, why);

		if (!io)
			return false;
		*to = text(spare + i % 2);
		if (dump(t->dump, io, 1, *to))
			*why = "what was restored cannot be dumped";
		pd_io_close(io);
		if (*why || !restorable(*to))
			return false;
		from = *to;
	}
	return true;
}

/* Dump, restore, dump: the same text, from the second round on if leaves are shared. */
static const char *round_trip(const struct fuzz_type *t, struct text *first)
{
	struct text *second, *third;
	const char *why = NULL;
	bool defs = has_defs(first);

	if (!again(t, first, 1, 1, &second, &why))
		return why;
	if (!defs)
		return same_text(first, second) ? NULL : "a dump restored dumps otherwise";
	if (!again(t, second, 2, 1, &third, &why))
		return why;
	return same_text(second, third) ? NULL : "the second round dumps otherwise";
}

/*
 * The names of shared parts are block numbers, and hints that are lost are left out of a text but 0 in an array: after
 * two rounds of restore and dump these are gone.
 */
static const char *same_in_the_end(const struct fuzz_type *t, struct text *a, struct text *b)
{
	struct text *end;
	const char *why = NULL;
	uint64_t hash;

	if (!again(t, a, 2, 2, &end, &why))
		return why;
	hash = end->hash;
	if (!again(t, b, 2, 2, &end, &why))
		return why;
	return end->hash == hash ? NULL : "dump --repair and what was repaired differ";
}

/* ---- What must hold ---- */

static void save(const char *name, struct pd_io *io)
{
	uint8_t *buf = pd_io_buffer(1);
	FILE *f = fopen(name, "wb");

	for (uint64_t b = 0; f && b < pd_io_nr_blocks(io); b++)
		if (pd_io_read(io, b, 1, buf) || !fwrite(buf, PD_BLOCK_SIZE, 1, f))
			abort();
	if (!f || fclose(f))
		abort();
	free(buf);
}

static bool same_blocks(struct pd_io *a, struct pd_io *b)
{
	uint8_t *x = pd_io_buffer(1), *y = pd_io_buffer(1);
	bool same = true;

	for (uint64_t i = 0; same && i < pd_io_nr_blocks(b); i++) {
		if (pd_io_read(a, i, 1, x) || pd_io_read(b, i, 1, y))
			abort();
		same = !memcmp(x, y, PD_BLOCK_SIZE);
	}
	free(x);
	free(y);
	return same;
}

/* Repair writes no numbers that restore would refuse, nothing too large, and no cache of which nothing is left. */
static bool may_refuse(const struct fuzz_type *t, int r)
{
	return r == -ENOSPC || r == -EINVAL || (t->sb == KIND_CACHE_SB && r == -EUCLEAN);
}

/* What repair writes checks clean, and is what dump --repair says. */
static const char *repair(const struct fuzz_type *t, struct pd_io *io, const struct fuzz_numbers *n, bool compare)
{
	struct text said = { .hash = 1 }, *mine, *theirs;
	struct pd_log log = { hear, &said, PD_LOG_DEBUG };
	struct pd_run run = { .log = &log, .nr_threads = 1 };
	struct pd_io *out = fresh();
	struct pd_check_result res;
	struct pd_sink sink;
	const char *why = NULL;
	int r, d;

	doing = "repair";
	r = t->repair(io, out, n, &run);
	if (said.len > MAX_SAID)
		why = "repair says more than a megabyte";
	if (!r && aloud)
		save("repaired.img", out);
	nr_repaired += !r;
	if (!why && !r && (check(t, out, 1, FUZZ_LOOK, &said, &res) || res.worst > PD_SEV_WARN))
		why = "what was repaired does not check";
	if (!why && compare) {
		doing = "dump --repair";
		theirs = text(0);
		sink = (struct pd_sink){ take, theirs };
		d = t->repair_dump(io, n, &run, &sink);
		mine = text(1);
		if (d && d != -EFBIG && !r)
			why = "repaired, but dump --repair fails";
		else if (!d && r && !may_refuse(t, r))
			why = "dump --repair succeeds, but it cannot be repaired";
		else if (!r && !d && dump(t->dump, out, 1, mine))
			why = "what was repaired cannot be dumped";
		else if (!r && !d && !same_text(mine, theirs) && restorable(theirs) && restorable(mine))
			why = same_in_the_end(t, theirs, mine);
	}
	pd_io_close(out);
	return why;
}

/*
 * Mending in place either works, and then a check says so and no mapping changed, or leaves every byte
 * (@beside: every byte that anything reads) as it was.
 */
static const char *mended(const struct fuzz_type *t, struct pd_io *io, int (*fn)(const struct fuzz_type *, struct pd_io *),
			  bool beside, const struct text *dumped, int dump_r)
{
	struct text said, before, *now;
	struct pd_check_result res, was;
	struct pd_io *copy = fuzz_copy(io);
	const char *why = NULL;
	int r = check(t, copy, 1, FUZZ_LOOK, &before, &was), c;

	if (r) {
		pd_io_close(copy);
		return NULL;
	}
	r = fn(t, copy);
	nr_mended += !r;
	c = check(t, copy, 1, FUZZ_LOOK, &said, &res);
	if (!r && (c || res.worst > PD_SEV_WARN))
		why = "what was mended does not check";
	else if (r == 1 && (c || res.worst > was.worst))
		why = "what was mended in part is worse now";
	else if (r < 0 && !beside && !same_blocks(copy, io))
		why = "a failed mending changed something";
	else if (r < 0 && (c || said.hash != before.hash))
		why = "a failed mending changed what a check says";
	if (!why) {
		now = text(2);
		c = dump(t->dump, copy, 1, now);
		if (!dump_r && (c || !same_text(now, dumped)))
			why = "mending changed what is dumped";
	}
	pd_io_close(copy);
	return why;
}

static int mend(const struct fuzz_type *t, struct pd_io *io, enum fuzz_mend how)
{
	struct pd_check_result res;
	struct text said;
	int r = check(t, io, 1, how, &said, &res);

	if (r || res.worst <= PD_SEV_WARN)
		return r;
	return res.mended ? 1 : -EUCLEAN;	/* 1: some of it */
}

static int auto_repair(const struct fuzz_type *t, struct pd_io *io) { return mend(t, io, FUZZ_AUTO_REPAIR); }
static int clear_flag(const struct fuzz_type *t, struct pd_io *io) { return mend(t, io, FUZZ_CLEAR_NEEDS_CHECK); }

static int in_place(const struct fuzz_type *t, struct pd_io *io)
{
	struct text said = { .hash = 1 };
	struct pd_log log = { hear, &said, PD_LOG_DEBUG };
	struct pd_run run = { .log = &log, .nr_threads = 1 };

	return t->in_place(io, &run);
}

static const char *one(const struct fuzz_image *im, struct pd_io *io)
{
	const struct fuzz_type *t = im->type;
	struct text a, b, *dumped, *other;
	struct pd_check_result res, again_res;
	unsigned threads = (unsigned[]){ 2, 4, 8 }[fuzz_rnd(3)];
	struct fuzz_numbers n = {
		.given = fuzz_rnd(4) == 0,
		.a = im->type->sb == KIND_CLONE_SB ? 8 : 128,
		.b = im->type->sb == KIND_CLONE_SB ? 8 * (1 + fuzz_rnd(1u << 18)) :
		     im->type->sb == KIND_CACHE_SB ? (fuzz_rnd(2) ? 256 : 1 + fuzz_rnd(1u << 18)) : 1u << 20,
		.unreadable = (unsigned)fuzz_rnd(3),
	};
	bool sound, thorough = fuzz_rnd(8) == 0;
	const char *why = NULL;
	int r, d;

	doing = "check";
	r = check(t, io, 1, FUZZ_LOOK, &a, &res);
	if (r != check(t, io, threads, FUZZ_LOOK, &b, &again_res) || a.hash != b.hash)
		return "findings depend on the number of threads";
	if (a.len > MAX_SAID)
		return "more than a megabyte was said";
	sound = !r && res.worst <= PD_SEV_WARN;
	nr_sound += sound;

	doing = "dump";
	dumped = text(0);
	d = dump(t->dump, io, 1, dumped);
	if (sound && d && d != -EFBIG)
		return "what checks clean cannot be dumped";
	if (thorough) {
		other = text(1);
		if (d != dump(t->dump, io, threads, other) || (!d && !same_text(dumped, other)))
			return "a dump depends on the number of threads";
	}
	if (thorough && sound && !d && restorable(dumped)) {
		doing = "round trip";
		why = round_trip(t, dumped);
	}
	if (!why && thorough && t->others) {
		struct text aside = { .hash = 1 };
		struct pd_run run = { .nr_threads = threads };

		doing = "other readers";
		t->others(io, &run, &(struct pd_sink){ take, &aside });
	}
	doing = "auto-repair";
	if (!why && t->sb != KIND_ERA_SB)
		why = mended(t, io, auto_repair, false, dumped, d);
	doing = "clear-needs-check";
	if (!why && thorough && t->in_place_clears)
		why = mended(t, io, clear_flag, false, dumped, d);
	doing = "in place";
	if (!why && t->in_place && fuzz_rnd(2))
		why = mended(t, io, in_place, true, dumped, d);
	if (!why)
		why = repair(t, io, &n, thorough && !n.given);
	return why;
}

int main(int argc, char **argv)
{
	unsigned nr_images = 0, failed = 0;
	struct fuzz_image *images = calloc((size_t)argc, sizeof(*images));
	uint64_t first, nr, slowest_seed = 0;
	double slowest = 0;
	long largest = 0;

	if (argc < 4) {
		fprintf(stderr, "usage: mutate FIRST-SEED NR IMAGE...\n");
		return 64;
	}
	first = strtoull(argv[1], NULL, 10);
	nr = strtoull(argv[2], NULL, 10);
	aloud = nr == 1;
	watch();
	for (int i = 3; i < argc; i++)
		nr_images += fuzz_image_load(&images[nr_images], argv[i]);
	for (seed = first; nr_images && seed < first + nr; seed++) {
		const struct fuzz_image *im;
		struct pd_io *io;
		const char *why;
		long before, rose;
		double t;

		fuzz_seed(seed);
		im = &images[fuzz_rnd(nr_images)];
		io = fuzz_mutate(im, images, nr_images);
		if (aloud)
			save("mutated.img", io);
		alarm(600);
		before = resident_now();
		t = cpu_seconds();
		why = one(im, io);
		t = cpu_seconds() - t;
		if (t > slowest) {
			slowest = t;
			slowest_seed = seed;
		}
		rose = before < 0 ? 0 : (status_kib("VmHWM:") - before) / 1024;
		largest = max_t(long, largest, rose);
		if (!why && rose > MAX_MIB)
			why = "too much memory";
		if (why || t > MAX_SECONDS) {
			printf("seed %" PRIu64 " (%s): %s, %.1f s, %ld MiB\n", seed, im->name,
			       why ? why : "too slow", t, rose);
			failed++;
		}
		pd_io_close(io);
	}
	for (unsigned i = 0; i < nr_images; i++)
		fuzz_image_free(&images[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i].data);
	free(images);
	printf("slowest %.3f s (seed %" PRIu64 "), largest %ld MiB, %u sound, %u mended, %u repaired\n%" PRIu64
	       " passed, %u failed, 0 skipped\n", slowest, slowest_seed, largest, nr_sound, nr_mended, nr_repaired, nr_images ? nr - failed : 0, failed + !nr_images);
	return failed || !nr_images;
}
