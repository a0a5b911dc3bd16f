/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all commands share: options, help, opening input and output, exit status.
 *
 * A command is a struct: an args struct, an option table, run(). The same rows make the parser,
 * --help and the man page's options.
 */
#ifndef PD_TOOLS_FRAME_H
#define PD_TOOLS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <pdata/io.h>
#include <pdata/log.h>

/* Exit statuses. Never 2: lvm2 reads it as "not installed" and activates unchecked metadata. */
enum { EXIT_CLEAN = 0, EXIT_BAD = 1, EXIT_USAGE = 64 };

enum opt_kind {
	OPT_KIND_FLAG,		/* bool */
	OPT_KIND_U32,		/* uint32_t; junk, sign, empty, overflow are refused */
	OPT_KIND_U64,		/* uint64_t */
	OPT_KIND_STR,		/* const char * */
	OPT_KIND_CALL,		/* int (*)(void *args, const char *value): 0 or EXIT_USAGE after a message */
	OPT_KIND_ARG,		/* const char *: the operand */
	OPT_KIND_END,
};

enum opt_flags {
	OPT_REQUIRED	= 1 << 0,
	OPT_REPEAT	= 1 << 1,	/* may stand more than once (OPT_KIND_CALL) */
	OPT_OPTIONAL_VALUE = 1 << 2,	/* value only when attached; CALL gets NULL without one */
	OPT_HIDDEN	= 1 << 3,	/* neither in --help nor in the man page */
};

struct opt {
	enum opt_kind kind;
	char short_name;		/* 0: none */
	const char *name;		/* long name without dashes; operand: as in the usage line */
	const char *alias;		/* a second long name, not shown, or NULL */
	const char *metavar;		/* what the value is called, or NULL */
	size_t offset;			/* of the member in the args struct */
	size_t given_offset;		/* of a bool that says it was given, or 0 */
	unsigned flags;
	const char *unless[2];		/* with OPT_REQUIRED: long names of options that make it needless */
	const char *help;		/* one sentence, no full stop */
	int (*call)(void *args, const char *value);
};

#define OPT_TYPE_CHECK(args, member, type) \
	(offsetof(struct args, member) + 0 * sizeof(_Generic(&((struct args *)0)->member, type *: 0)))
#define OPT_FLAG(s, l, args, member, text) \
	{ .kind = OPT_KIND_FLAG, .short_name = s, .name = l, \
	  .offset = OPT_TYPE_CHECK(args, member, bool), .help = text }
#define OPT_FLAG_ALIAS(s, l, other, args, member, text) \
	{ .kind = OPT_KIND_FLAG, .short_name = s, .name = l, .alias = other, \
	  .offset = OPT_TYPE_CHECK(args, member, bool), .help = text }
#define OPT_U32(s, l, meta, args, member, given, text) \
	{ .kind = OPT_KIND_U32, .short_name = s, .name = l, .metavar = meta, \
	  .offset = OPT_TYPE_CHECK(args, member, uint32_t), \
	  .given_offset = OPT_TYPE_CHECK(args, given, bool), .help = text }
#define OPT_U64(s, l, meta, args, member, given, text) \
	{ .kind = OPT_KIND_U64, .short_name = s, .name = l, .metavar = meta, \
	  .offset = OPT_TYPE_CHECK(args, member, uint64_t), \
	  .given_offset = OPT_TYPE_CHECK(args, given, bool), .help = text }
#define OPT_STR(s, l, meta, args, member, fl, text) \
	{ .kind = OPT_KIND_STR, .short_name = s, .name = l, .metavar = meta, .flags = fl, \
	  .offset = OPT_TYPE_CHECK(args, member, const char *), .help = text }
#define OPT_STR_UNLESS(s, l, meta, args, member, text, ...) \
	{ .kind = OPT_KIND_STR, .short_name = s, .name = l, .metavar = meta, .flags = OPT_REQUIRED, \
	  .unless = { __VA_ARGS__ }, .offset = OPT_TYPE_CHECK(args, member, const char *), .help = text }
#define OPT_ARG(l, args, member, fl, text) \
	{ .kind = OPT_KIND_ARG, .name = l, .flags = fl, \
	  .offset = OPT_TYPE_CHECK(args, member, const char *), .help = text }
#define OPT_END { .kind = OPT_KIND_END }

#define MAX_CONFLICTS 24

/* What the frame itself has read from the command line, for run(). */
struct frame {
	const struct command *cmd;
	bool quiet;			/* -q: nothing but usage errors is printed */
	unsigned verbose;		/* -v, repeated */
	const char *io_engine;		/* --io-engine, or NULL */
	struct pd_log log;		/* stderr; silent with -q */
	struct pd_progress progress;	/* a bar on a terminal, after a second */
	struct pd_run run;		/* log, progress and --threads (hidden), ready to pass on */
	int nr_operands;
	const char **operands;		/* all of them, for commands that take more than one */
	bool numeric_operand_given;	/* see struct command */
	uint64_t numeric_operand;
};

struct command {
	const char *name;
	const char *about;		/* one line */
	const struct opt *opts;
	struct { const char *a, *b; } conflicts[MAX_CONFLICTS];	/* long names */
	size_t args_size;
	bool takes_quiet;		/* -q, --quiet is an option of this command */
	bool ignores_operand;		/* one surplus operand, even "", is ignored (the repair commands) */
	bool takes_more_operands;	/* any number after those of the table; see struct frame */
	bool takes_numeric_operand;	/* one surplus operand that is a plain number: "-m 123" */
	void (*init)(void *args);	/* defaults other than zero, or NULL */
	/* returns EXIT_CLEAN, EXIT_BAD or EXIT_USAGE */
	int (*run)(struct frame *f, void *args);
};

/* Says why the words are wrong on stderr (also with -q) and returns EXIT_USAGE. */
int usage_error(struct frame *f, const char *fmt, ...) PD_PRINTF(2, 3);

/* "error: ..." on stderr unless -q; returns EXIT_BAD, so that one can return it. */
int fail(struct frame *f, const char *fmt, ...) PD_PRINTF(2, 3);

/* Is @path a file or block device? EXIT_BAD after the fixed texts, @missing among them, if not. */
int check_path(struct frame *f, const char *path, const char *missing);

/*
 * open_input() - open metadata for reading, as cli 1.6 says: exists, is a device or file, is large
 * enough, is not XML. Block 0 is not looked at.
 * @flags: of enum pd_io_flags; PD_IO_WRITE for commands that mend in place, PD_IO_SHARED with -m.
 * Returns 0, or EXIT_BAD after the message.
 */
int open_input(struct frame *f, const char *path, unsigned flags, struct pd_io **io);

/* open_output() - open metadata for writing, as cli 1.7 says; refuses (EXIT_USAGE) an output that is
 * @input, which may be NULL. Nothing is written yet. */
int open_output(struct frame *f, const char *path, const char *input, struct pd_io **io);

/*
 * Text outputs: stdout for NULL and "-", a fifo, or a file that is made or truncated at the first
 * write, when the input was found good; a name in ".gz" is written compressed. A reader that went
 * away makes writes return -EPIPE, and nothing is said.
 */
struct text_out;
struct text_out *text_create(struct frame *f, const char *path);	/* NULL after a message */
int text_write(void *out, const void *data, size_t len);		/* 0 or -errno; fits struct pd_sink */
bool text_is_tty(const struct text_out *out);
/*
 * Flushes, closes and frees. @ok: the work succeeded; then a file nothing was written to is still
 * made. Reports what went wrong with the output, once. EXIT_CLEAN or EXIT_BAD. Takes NULL.
 */
int text_close(struct frame *f, struct text_out *out, bool ok);

/* Text inputs, as cli 1.6 says of files; "-" is standard input. 0, or EXIT_BAD after the message. */
int source_open(struct frame *f, const char *path, int *fd);
ssize_t source_read(void *fd, void *data, size_t len);	/* fits struct pd_source; @fd points to it */
void source_close(int fd);
const char *source_path(const char *path);	/* its name, "-" or not, for open_output() */

/*
 * From here to signals_release() an interrupt says that @path is not usable and ends the process;
 * with @path NULL it waits until signals_release().
 */
void signals_guard(struct frame *f, const char *path);
void signals_release(void);

/* opts.c: 0, or the status to end with after a message (EXIT_CLEAN after --help and --version). */
int opts_parse(struct frame *f, void *args, int argc, char **argv, bool *done);
/* The options as man page source, from the same rows as --help. */
void opts_print_man(const struct command *cmd);

/* frame.c: runs one command. */
int frame_main(const struct command *cmd, int argc, char **argv);

/* In the program for developers: more engines, more commands. */
extern const bool developer_program;
unsigned engine_flags(void);	/* of enum pd_io_flags: which names --io-engine may have */

#endif
