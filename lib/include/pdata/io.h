/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Block I/O
 *
 * A struct pd_io is a row of blocks of PD_BLOCK_SIZE bytes: a device, a file or
 * memory. It belongs to one thread at a time; pd_io_clone() gives another thread
 * a handle of its own on the same blocks.
 */
#ifndef PDATA_IO_H
#define PDATA_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <pdata/log.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PD_BLOCK_SIZE 4096u

struct pd_io;

enum pd_io_flags {
	PD_IO_WRITE	= 1 << 0,	/* else read only */
	PD_IO_SHARED	= 1 << 1,	/* block device: open without O_EXCL (live metadata) */
	PD_IO_DIRECT	= 1 << 2,	/* O_DIRECT on files too; block devices always use it */
	PD_IO_BUFFERED	= 1 << 3,	/* no O_DIRECT on block devices */
	PD_IO_STACKED	= 1 << 4,	/* @engine may name wrappers too: "trace:async" */
};

/**
 * pd_io_open() - open metadata on a device or in a file.
 * @path:   block device or regular file that exists; it is never created or resized.
 * @flags:  of enum pd_io_flags.
 * @engine: "sync", "spindle" (both pread), "async" (io_uring, else pread), or NULL
 *          for the default (pread). With PD_IO_STACKED wrappers for development may stand in
 *          front, outermost first, each with a colon: "trace" (a line a request on stderr), "ram"
 *          (a copy in memory; what is written to it is lost), "fault-read-N", "fault-write-N",
 *          "fault-flush-N", "fault-any-N" (the N-th of these fails), "kill-write-N", "term-write-N",
 *          "int-write-N", "hup-write-N" (that signal comes just before the N-th write), "bad-block-N"
 *          (which cannot be read).
 *
 * Messages are the fixed texts of the command line contract. A block device is
 * opened with O_EXCL unless PD_IO_SHARED.
 *
 * Return: 0, -ENOENT, -ENOTBLK (neither file nor block device), -EACCES, -EBUSY,
 *         -EINVAL (unknown engine) or what open(2) said.
 */
int pd_io_open(struct pd_io **io, const char *path, unsigned flags, const char *engine,
	       struct pd_log *log);

/** pd_io_has_engine() - would pd_io_open() take @engine with these @flags? */
bool pd_io_has_engine(const char *engine, unsigned flags);

/** pd_io_open_ram() - @nr_blocks zeroed blocks in memory, committed as they are touched. */
int pd_io_open_ram(struct pd_io **io, uint64_t nr_blocks);

/** pd_io_clone() - a handle on the same blocks for another thread. 0 or -errno. */
int pd_io_clone(struct pd_io *io, struct pd_io **clone);

/** pd_io_close() - takes NULL. Does not flush. */
void pd_io_close(struct pd_io *io);

/** pd_io_nr_blocks() - whole blocks on the device; a part of one at its end does not count. */
uint64_t pd_io_nr_blocks(const struct pd_io *io);

/** pd_io_name() - the path, or "memory". */
const char *pd_io_name(const struct pd_io *io);

/**
 * pd_io_read() - read @nr blocks from @block on into @buf, and wait.
 * @buf: @nr * PD_BLOCK_SIZE bytes, aligned to PD_BLOCK_SIZE (pd_io_buffer()).
 *
 * Return: 0 or -EIO and the like; then @buf holds anything. Says nothing to the log.
 */
int pd_io_read(struct pd_io *io, uint64_t block, uint32_t nr, void *buf);
int pd_io_write(struct pd_io *io, uint64_t block, uint32_t nr, const void *buf);

/** pd_io_flush() - everything written before is on stable storage when this returns 0. */
int pd_io_flush(struct pd_io *io);

/** pd_io_buffer() - memory for @nr blocks, aligned; free() it. NULL if there is none. */
void *pd_io_buffer(uint32_t nr);

/** pd_io_same() - do both names lead to the same file or device (device and inode, or rdev)? */
bool pd_io_same(const char *path_a, const char *path_b);

#ifdef __cplusplus
}
#endif
#endif
