/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs a command: its options, its messages, its inputs and outputs, its exit status. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <pdata/err.h>
#include "tools/frame.h"

#define MIN_OUTPUT_BLOCKS 10u

static void say(struct frame *f, const char *prefix, const char *fmt, va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	if (f->quiet)
		return;
	fflush(stdout);
	fprintf(stderr, "%s%s\n", prefix, text);
}

int usage_error(struct frame *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("error: ", stderr);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n\nFor more, try '%s --help'.\n", f->cmd->name);
	return EXIT_USAGE;
}

int fail(struct frame *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(f, "error: ", fmt, ap);
	va_end(ap);
	return EXIT_BAD;
}

/* ---- progress: one line on a terminal, from the second second on ---- */

struct bar {
	struct frame *f;
	uint64_t started_ns, shown_ns;
	bool on_screen;
};

static struct bar bar;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void bar_clear(void)
{
	if (bar.on_screen)
		fputs("\r\033[K", stderr);
	bar.on_screen = false;
}

static void bar_update(void *ctx, const char *what, unsigned long long done,
		       unsigned long long all)
{
	uint64_t now = now_ns();
	unsigned percent = all ? (unsigned)(100.0 * (double)done / (double)all) : 0;
	unsigned long long left;

	(void)ctx;
	if (now - bar.started_ns < 1000000000u || now - bar.shown_ns < 250000000u)
		return;
	bar.shown_ns = now;
	left = done ? (unsigned long long)((double)(now - bar.started_ns) / 1e9 *
					   (double)(all - done) / (double)done) : 0;
	fprintf(stderr, "\r\033[K%s %3u%%  [%-40.*s]  %llu s left", what, percent,
		(int)(percent * 40 / 100), "########################################", left);
	bar.on_screen = true;
}

static void log_line(void *ctx, enum pd_log_level level, const char *text)
{
	struct frame *f = ctx;

	(void)level;
	if (f->quiet)
		return;
	bar_clear();
	fflush(stdout);
	fprintf(stderr, "%s\n", text);
}

/* ---- inputs and outputs ---- */

/* What must hold of a name before it is opened, and the fixed texts where it does not. */
int check_path(struct frame *f, const char *path, const char *missing)
{
	struct stat st;

	if (stat(path, &st))
		return errno == ENOENT || errno == ENOTDIR ? fail(f, "%s: %s", missing, path) :
		       fail(f, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return fail(f, "Not a block device or regular file: %s", path);
	return 0;
}

/* The checksum that a superblock opens with may well begin with '<', but its own number, 0, follows. */
static bool looks_like_xml(const char *p, size_t len)
{
	size_t i = 0;

	if (memchr(p, 0, 16))
		return false;
	while (i < len && isspace((unsigned char)p[i]))
		i++;
	return i < len && p[i] == '<';
}

unsigned engine_flags(void)
{
	return developer_program ? PD_IO_STACKED : 0;
}

int open_input(struct frame *f, const char *path, unsigned flags, struct pd_io **io)
{
	char *block;
	int r = check_path(f, path, "Couldn't find input file");

	*io = NULL;
	if (r)
		return r;
	if (pd_io_open(io, path, flags | engine_flags(), f->io_engine, &f->log))
		return EXIT_BAD;
	if (!pd_io_nr_blocks(*io)) {
		r = fail(f, "Metadata device/file too small.  Is this binary metadata?");
		goto bad;
	}
	block = pd_io_buffer(1);
	if (!block) {
		r = fail(f, "out of memory");
		goto bad;
	}
	if (!pd_io_read(*io, 0, 1, block) && looks_like_xml(block, PD_BLOCK_SIZE))
		r = fail(f, "This looks like XML.  This tool only supports the binary metadata format.");
	free(block);
	if (!r)
		return 0;
bad:
	pd_io_close(*io);
	*io = NULL;
	return r;
}

int open_output(struct frame *f, const char *path, const char *input, struct pd_io **io)
{
	int r = check_path(f, path, "Couldn't find output file");

	*io = NULL;
	if (r)
		return r;
	if (input && pd_io_same(path, input))
		return usage_error(f, "input and output are the same: %s", path);
	if (pd_io_open(io, path, PD_IO_WRITE | engine_flags(), f->io_engine, &f->log))
		return EXIT_BAD;
	if (pd_io_nr_blocks(*io) >= MIN_OUTPUT_BLOCKS)
		return 0;
	pd_io_close(*io);
	*io = NULL;
	return fail(f, "Output file too small: %s: at least %u bytes are needed", path,
		    MIN_OUTPUT_BLOCKS * PD_BLOCK_SIZE);
}

/* ---- signals ---- */

static const int guarded[] = { SIGINT, SIGTERM, SIGHUP };
#define NR_GUARDED (sizeof(guarded) / sizeof(guarded[0]))
static char last_words[512];
static sigset_t held;

static void interrupted(int sig)
{
	ssize_t n = write(STDERR_FILENO, last_words, strlen(last_words));

	(void)n;
	signal(sig, SIG_DFL);
	raise(sig);
}

void signals_guard(struct frame *f, const char *path)
{
	struct sigaction sa = { .sa_handler = interrupted, .sa_flags = SA_NODEFER };

	if (!path) {
		sigemptyset(&held);
		for (unsigned i = 0; i < NR_GUARDED; i++)
			sigaddset(&held, guarded[i]);
		sigprocmask(SIG_BLOCK, &held, NULL);
		return;
	}
	last_words[0] = 0;
	if (!f->quiet)
		snprintf(last_words, sizeof(last_words),
			 "\ninterrupted: %s is not usable; run the command again\n", path);
	for (unsigned i = 0; i < NR_GUARDED; i++) {
		struct sigaction old;

		/* nohup and the like stay in force */
		if (!sigaction(guarded[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(guarded[i], &sa, NULL);
	}
}

void signals_release(void)
{
	for (unsigned i = 0; i < NR_GUARDED; i++) {
		struct sigaction old;

		if (!sigaction(guarded[i], NULL, &old) && old.sa_handler == interrupted)
			signal(guarded[i], SIG_DFL);
	}
	sigprocmask(SIG_UNBLOCK, &held, NULL);
}

int frame_main(const struct command *cmd, int argc, char **argv)
{
	struct frame f = { .cmd = cmd };
	void *args = calloc(1, cmd->args_size ? cmd->args_size : 1);
	bool done = false;
	int r;

	if (!args)
		return fail(&f, "out of memory");
	sigemptyset(&held);
	f.log = (struct pd_log){ .msg = log_line, .ctx = &f, .level = PD_LOG_WARN };
	if (cmd->init)
		cmd->init(args);
	r = opts_parse(&f, args, argc, argv, &done);
	if (!r && !done) {
		if (f.verbose)
			f.log.level = f.verbose > 1 ? PD_LOG_DEBUG : PD_LOG_INFO;
		f.run.log = &f.log;
		if (!f.quiet && isatty(STDERR_FILENO)) {
			bar.started_ns = now_ns();
			f.progress = (struct pd_progress){ .update = bar_update };
			f.run.progress = &f.progress;
		}
		r = cmd->run(&f, args);
		bar_clear();
	}
	free(f.operands);
	free(args);
	if (fflush(stdout) || ferror(stdout)) {
		/* A reader that went away is not worth a word; a full disk is. */
		if (errno != EPIPE && !f.quiet)
			fprintf(stderr, "error: writing the output: %s\n", strerror(errno));
		r = r ? r : EXIT_BAD;
	}
	return r;
}
