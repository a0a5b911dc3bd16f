/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shape all engines share. The pread and RAM engines complete a request
 * inside submit(); io_uring later. Wrappers (fault, crash, trace) hold another
 * engine and stand in front of it.
 */
#ifndef PD_IO_ENGINE_H
#define PD_IO_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <pdata/io.h>

struct pd_io_req {
	uint64_t block;
	uint32_t nr;		/* blocks */
	bool write;
	void *buf;		/* nr * PD_BLOCK_SIZE bytes, aligned to PD_BLOCK_SIZE */
	int result;		/* 0 or -errno, when reaped */
	void *cookie;		/* the submitter's own */
	struct pd_io_req *next;	/* the engine's own */
};

struct pd_io_ops {
	/* Takes all @nr requests, or returns -errno and takes none. */
	int (*submit)(struct pd_io *io, struct pd_io_req **reqs, unsigned nr);
	/* Hands back up to @max done requests, waiting for at least one if @wait and
	 * any is under way. Returns how many, or -errno. */
	int (*reap)(struct pd_io *io, struct pd_io_req **done, unsigned max, bool wait);
	int (*flush)(struct pd_io *io);
	/* These blocks will be read soon; or NULL. */
	void (*ahead)(struct pd_io *io, uint64_t block, uint64_t nr);
	/* Can it be read without waiting for a disk? NULL: cannot be known. */
	bool (*cached)(struct pd_io *io, uint64_t block);
	int (*clone)(struct pd_io *io, struct pd_io **clone);
	void (*destroy)(struct pd_io *io);
};

struct pd_io {
	const struct pd_io_ops *ops;
	uint64_t nr_blocks;
	unsigned flags;		/* of enum pd_io_flags */
	unsigned depth;		/* requests worth having under way at once; 1 for pread */
	char *name;
};

static inline int pd_io_submit(struct pd_io *io, struct pd_io_req **reqs, unsigned nr)
{
	return io->ops->submit(io, reqs, nr);
}

static inline int pd_io_reap(struct pd_io *io, struct pd_io_req **done, unsigned max, bool wait)
{
	return io->ops->reap(io, done, max, wait);
}

/* pd_io_write() and pd_io_flush() that say what failed: the device and, of a write, its first block. */
int io_write_told(struct pd_io *io, uint64_t block, uint32_t nr, const void *buf, struct pd_log *log);
int io_flush_told(struct pd_io *io, struct pd_log *log);

/*
 * Wrappers: each stands in front of @inner, which it owns from then on (not if it fails), and
 * clones share what it counts. Requests go on to @inner one by one.
 */

/* engine-fault.c: the n-th read, write or flush fails with -EIO and is not carried out. 1 is the
 * next one; all clones count together; with 0 nothing fails. */
enum pd_fault { PD_FAULT_READ, PD_FAULT_WRITE, PD_FAULT_FLUSH, PD_FAULT_ANY };
int pd_io_fault(struct pd_io **io, struct pd_io *inner);
void pd_fault_arm(struct pd_io *io, enum pd_fault what, uint64_t nth);
bool pd_fault_fired(const struct pd_io *io);
/* In place of the fault armed: @sig to the process. If that lets it live, the request is carried out. */
void pd_fault_signal(struct pd_io *io, int sig);
/* Every read that touches @block fails until pd_fault_clear(). */
int pd_fault_bad_block(struct pd_io *io, uint64_t block);
void pd_fault_clear(struct pd_io *io);

/*
 * engine-crash.c: a disk with a volatile write cache. It remembers what @inner held and every
 * block written since, so one run of an operation gives all the disks a power cut could leave.
 *
 * pd_crash_disk() makes, in memory, a disk as a cut after @nr_writes blocks could leave it: what
 * was flushed by then is there; of the blocks written later each is kept or lost by @seed, and
 * the last kept one may be torn at a sector. A flush that directly follows write @nr_writes was
 * finished if @seed is even. Seed 0 keeps everything.
 */
int pd_io_crash(struct pd_io **io, struct pd_io *inner);
uint64_t pd_crash_nr_writes(const struct pd_io *io);
int pd_crash_disk(struct pd_io *io, uint64_t nr_writes, uint64_t seed, struct pd_io **disk);

/* engine-trace.c: one line a request to @file, a FILE *: "R block nr", "W block nr", "F". */
int pd_io_trace(struct pd_io **io, struct pd_io *inner, void *file);

/* engine-overlay.c: reads @inner (which stays the caller's and must outlive it), but blocks that were
 * put read as they were put, by all clones. Memory: a block each. */
int pd_io_overlay(struct pd_io **io, struct pd_io *inner);
int pd_overlay_put(struct pd_io *io, uint64_t block, const void *data);

#endif
