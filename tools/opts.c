/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Words of the command line against a table of options; help and man text from the same table. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config.h"
#include "tools/frame.h"

enum common { C_HELP, C_VERSION, C_VERBOSE, C_ENGINE, C_THREADS, C_QUIET, NR_COMMON };

static const struct opt common[NR_COMMON] = {
	[C_HELP] = { .short_name = 'h', .name = "help", .help = "Print this help and exit" },
	[C_VERSION] = { .short_name = 'V', .name = "version", .help = "Print the version and exit" },
	[C_VERBOSE] = { .short_name = 'v', .name = "verbose", .flags = OPT_REPEAT,
		      .help = "Say more about what is done" },
	[C_ENGINE] = { .name = "io-engine", .metavar = "NAME", .flags = OPT_HIDDEN,
			.kind = OPT_KIND_STR, .help = "How to read and write: sync, spindle, async" },
	[C_THREADS] = { .name = "threads", .metavar = "N", .flags = OPT_HIDDEN, .kind = OPT_KIND_U32,
		      .help = "How many worker threads to use" },
	[C_QUIET] = { .short_name = 'q', .name = "quiet", .help = "Print nothing; answer by the exit status" },
};

#define MAX_OPTS 48

struct parser {
	struct frame *f;
	void *args;
	const struct opt *rows[MAX_OPTS];	/* the command's, then the common ones */
	unsigned given[MAX_OPTS];
	unsigned nr;
	bool done;
};

/* A command's own row takes the place of the common one (thin_delta's --verbose has no -v). */
static bool shadowed(const struct command *cmd, const struct opt *o)
{
	for (const struct opt *own = cmd->opts; own->kind != OPT_KIND_END; own++)
		if (own->kind != OPT_KIND_ARG && !strcmp(own->name, o->name))
			return true;
	return false;
}

static void collect(struct parser *p, const struct command *cmd)
{
	for (const struct opt *o = cmd->opts; o->kind != OPT_KIND_END; o++)
		p->rows[p->nr++] = o;
	for (unsigned i = 0; i < NR_COMMON; i++)
		if ((i != C_QUIET || cmd->takes_quiet) && !shadowed(cmd, &common[i]))
			p->rows[p->nr++] = &common[i];
}

static bool number(const char *s, uint64_t max, uint64_t *n)
{
	uint64_t v = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (!isdigit((unsigned char)*s) || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	}
	*n = v;
	return v <= max;
}

static bool takes_value(const struct opt *o)
{
	return o->kind == OPT_KIND_U32 || o->kind == OPT_KIND_U64 || o->kind == OPT_KIND_STR ||
	       (o->kind == OPT_KIND_CALL && o->metavar);
}

static int help(const struct command *cmd);

static int take_common(struct parser *p, const struct opt *o, const char *value)
{
	struct frame *f = p->f;
	uint64_t n;

	switch ((enum common)(o - common)) {
	case C_HELP:
		p->done = true;
		return help(f->cmd);
	case C_VERSION:
		p->done = true;
		puts(PACKAGE_VERSION);
		return EXIT_CLEAN;
	case C_VERBOSE:
		f->verbose++;
		return 0;
	case C_QUIET:
		f->quiet = true;
		return 0;
	case C_THREADS:
		if (!number(value, 64, &n) || !n)
			return usage_error(f, "invalid value '%s' for '--threads': 1 to 64", value);
		f->run.nr_threads = (unsigned)n;
		return 0;
	case C_ENGINE:
		if (!pd_io_has_engine(value, engine_flags()))
			return usage_error(f, "invalid value '%s' for '--io-engine': it is one of "
					   "sync, spindle and async", value);
		f->io_engine = value;
		return 0;
	default:
		return 0;
	}
}

static int take(struct parser *p, unsigned row, const char *value)
{
	const struct opt *o = p->rows[row];
	char *at = (char *)p->args + o->offset;
	bool once = takes_value(o) && !(o->flags & OPT_REPEAT);
	uint64_t n;

	if (p->given[row]++ && once)
		return usage_error(p->f, "the argument '--%s' cannot be used multiple times", o->name);
	if (o >= common && o < common + NR_COMMON)
		return take_common(p, o, value);
	if (o->given_offset)
		*(bool *)((char *)p->args + o->given_offset) = true;
	switch (o->kind) {
	case OPT_KIND_FLAG:
		*(bool *)at = true;
		return 0;
	case OPT_KIND_STR:
		*(const char **)at = value;
		return 0;
	case OPT_KIND_CALL:
		return o->call(p->args, value);
	default:
		if (!number(value, o->kind == OPT_KIND_U32 ? UINT32_MAX : UINT64_MAX, &n))
			return usage_error(p->f, "invalid value '%s' for '--%s': not a number that fits",
					   value, o->name);
		if (o->kind == OPT_KIND_U32)
			*(uint32_t *)at = (uint32_t)n;
		else
			*(uint64_t *)at = n;
		return 0;
	}
}

static bool begins(const char *name, const char *typed, size_t len)
{
	return name && !strncmp(name, typed, len);
}

/*
 * The row a long option names, whole or shortened; -1 none, -2 several. What --help does not show
 * makes no abbreviation ambiguous.
 */
static int find_long(const struct parser *p, const char *typed, size_t len)
{
	int found = -1, hidden = -1;

	for (unsigned i = 0; i < p->nr; i++) {
		const struct opt *o = p->rows[i];

		if (o->kind == OPT_KIND_ARG)
			continue;
		if ((begins(o->name, typed, len) && !o->name[len]) ||
		    (begins(o->alias, typed, len) && !o->alias[len]))
			return (int)i;
		if (len && (begins(o->name, typed, len) || begins(o->alias, typed, len))) {
			int *first = o->flags & OPT_HIDDEN ? &hidden : &found;

			*first = *first == -1 ? (int)i : -2;
		}
	}
	return found == -1 ? hidden : found;
}

static int long_option(struct parser *p, const char *word, char ***next)
{
	const char *typed = word + 2, *eq = strchr(typed, '=');
	size_t len = eq ? (size_t)(eq - typed) : strlen(typed);
	int row = find_long(p, typed, len);
	const struct opt *o;

	if (row == -2)
		return usage_error(p->f, "'--%.*s' could mean several options", (int)len, typed);
	if (row < 0)
		return usage_error(p->f, "unexpected argument '--%.*s' found", (int)len, typed);
	o = p->rows[row];
	if (!takes_value(o)) {
		if (eq)
			return usage_error(p->f, "unexpected value '%s' for '--%s'", eq + 1, o->name);
		return take(p, (unsigned)row, NULL);
	}
	if (eq)
		return take(p, (unsigned)row, eq + 1);
	if (o->flags & OPT_OPTIONAL_VALUE)
		return take(p, (unsigned)row, NULL);
	if (!**next)
		return usage_error(p->f, "a value is required for '--%s <%s>' but none was supplied",
				   o->name, o->metavar);
	return take(p, (unsigned)row, *(*next)++);
}

static int short_options(struct parser *p, const char *word, char ***next)
{
	for (const char *c = word + 1; *c; c++) {
		const struct opt *o = NULL;
		unsigned row;
		int r;

		for (row = 0; row < p->nr; row++)
			if (p->rows[row]->short_name == *c && p->rows[row]->kind != OPT_KIND_ARG) {
				o = p->rows[row];
				break;
			}
		if (!o)
			return usage_error(p->f, "unexpected argument '-%c' found", *c);
		if (takes_value(o)) {
			const char *v = c[1] ? c + 1 : NULL;

			if (v && *v == '=')
				v++;
			if (!v && !(o->flags & OPT_OPTIONAL_VALUE)) {
				if (!**next)
					return usage_error(p->f, "a value is required for '-%c <%s>' "
							   "but none was supplied", *c, o->metavar);
				v = *(*next)++;
			}
			return take(p, row, v);
		}
		r = take(p, row, NULL);
		if (r || p->done)
			return r;
	}
	return 0;
}

static int operands(struct parser *p)
{
	struct frame *f = p->f;
	uint64_t n;
	int used = 0;

	/* "-m 123 DEV" is the same as "DEV -m 123" */
	if (f->cmd->takes_numeric_operand && f->nr_operands == 2 &&
	    number(f->operands[0], UINT64_MAX, &n) && !number(f->operands[1], UINT64_MAX, &n)) {
		const char *first = f->operands[0];

		f->operands[0] = f->operands[1];
		f->operands[1] = first;
	}
	for (unsigned i = 0; i < p->nr; i++) {
		const struct opt *o = p->rows[i];

		if (o->kind != OPT_KIND_ARG)
			continue;
		if (used < f->nr_operands) {
			*(const char **)((char *)p->args + o->offset) = f->operands[used++];
			p->given[i]++;
		}
	}
	if (used + 1 == f->nr_operands && f->cmd->ignores_operand)
		return 0;
	if (used + 1 == f->nr_operands && f->cmd->takes_numeric_operand &&
	    number(f->operands[used], UINT64_MAX, &f->numeric_operand)) {
		f->numeric_operand_given = true;
		return 0;
	}
	if (used < f->nr_operands && !f->cmd->takes_more_operands)
		return usage_error(f, "unexpected argument '%s' found", f->operands[used]);
	return 0;
}

static void print_name(FILE *out, const struct opt *o)
{
	if (o->kind == OPT_KIND_ARG)
		fprintf(out, "<%s>", o->name);
	else if (takes_value(o))
		fprintf(out, "--%s <%s>", o->name, o->metavar);
	else
		fprintf(out, "--%s", o->name);
}

static bool given(const struct parser *p, const char *name)
{
	for (unsigned i = 0; i < p->nr; i++)
		if (!strcmp(p->rows[i]->name, name))
			return p->given[i];
	return false;
}

static bool needed(const struct parser *p, const struct opt *o)
{
	for (unsigned i = 0; i < sizeof(o->unless) / sizeof(o->unless[0]); i++)
		if (o->unless[i] && given(p, o->unless[i]))
			return false;
	return o->flags & OPT_REQUIRED;
}

static int required(struct parser *p)
{
	bool missing = false;

	/* Older test suites look for this line. */
	for (unsigned i = 0; i < p->nr; i++)
		if (!p->given[i] && needed(p, p->rows[i]) &&
		    (p->rows[i]->kind == OPT_KIND_ARG || !strcmp(p->rows[i]->name, "input")))
			fprintf(stderr, "No input file provided.\n");
	for (unsigned i = 0; i < p->nr; i++) {
		const struct opt *o = p->rows[i];

		if (p->given[i] || !needed(p, o))
			continue;
		if (!missing)
			fprintf(stderr, "error: the following required arguments were not provided:\n");
		missing = true;
		fputs("  ", stderr);
		print_name(stderr, o);
		fputc('\n', stderr);
	}
	if (missing)
		fprintf(stderr, "\nFor more, try '%s --help'.\n", p->f->cmd->name);
	return missing ? EXIT_USAGE : 0;
}

static int conflicts(struct parser *p)
{
	const struct command *cmd = p->f->cmd;

	for (unsigned i = 0; i < MAX_CONFLICTS && cmd->conflicts[i].a; i++)
		if (given(p, cmd->conflicts[i].a) && given(p, cmd->conflicts[i].b))
			return usage_error(p->f, "the argument '--%s' cannot be used with '--%s'",
					   cmd->conflicts[i].a, cmd->conflicts[i].b);
	return 0;
}

int opts_parse(struct frame *f, void *args, int argc, char **argv, bool *done)
{
	struct parser p = { .f = f, .args = args };
	char **next = argv + 1;
	bool words = true;
	int r = 0;

	collect(&p, f->cmd);
	f->operands = calloc((size_t)argc + 1, sizeof(*f->operands));
	if (!f->operands)
		return fail(f, "out of memory");
	while (!r && !p.done && *next) {
		char *word = *next++;

		if (words && !strcmp(word, "--"))
			words = false;
		else if (words && word[0] == '-' && word[1] == '-')
			r = long_option(&p, word, &next);
		else if (words && word[0] == '-' && word[1])
			r = short_options(&p, word, &next);
		else
			f->operands[f->nr_operands++] = word;
	}
	*done = p.done;
	if (r || p.done)
		return r;
	r = operands(&p);
	if (!r)
		r = required(&p);
	return r ? r : conflicts(&p);
}

static void print_option(const struct opt *o)
{
	char left[80];
	int n = snprintf(left, sizeof(left), "  %c%c%s --%s", o->short_name ? '-' : ' ',
			 o->short_name ? o->short_name : ' ', o->short_name ? "," : " ", o->name);

	if (takes_value(o))
		snprintf(left + n, sizeof(left) - (size_t)n,
			 o->flags & OPT_OPTIONAL_VALUE ? "[=%s]" : " %s", o->metavar);
	printf("%-34s %s\n", left, o->help);
}

static int help(const struct command *cmd)
{
	struct parser p = { .nr = 0 };

	collect(&p, cmd);
	printf("%s\n\nUsage: %s [OPTION]...", cmd->about, cmd->name);
	for (unsigned i = 0; i < p.nr; i++)
		if (p.rows[i]->kind != OPT_KIND_ARG && p.rows[i]->flags & OPT_REQUIRED &&
		    !p.rows[i]->unless[0]) {
			putchar(' ');
			print_name(stdout, p.rows[i]);
		}
	for (unsigned i = 0; i < p.nr; i++)
		if (p.rows[i]->kind == OPT_KIND_ARG)
			printf(p.rows[i]->flags & OPT_REQUIRED ? " %s" : " [%s]", p.rows[i]->name);
	printf("\n\n");
	for (unsigned i = 0; i < p.nr; i++)
		if (p.rows[i]->kind == OPT_KIND_ARG)
			printf("  %-32s %s\n", p.rows[i]->name, p.rows[i]->help);
	for (unsigned i = 0; i < p.nr; i++)
		if (p.rows[i]->kind != OPT_KIND_ARG && !(p.rows[i]->flags & OPT_HIDDEN))
			print_option(p.rows[i]);
	return EXIT_CLEAN;
}

void opts_print_man(const struct command *cmd)
{
	struct parser p = { .nr = 0 };

	collect(&p, cmd);
	for (unsigned i = 0; i < p.nr; i++) {
		const struct opt *o = p.rows[i];

		if (o->flags & OPT_HIDDEN)
			continue;
		printf(".TP\n");
		if (o->kind == OPT_KIND_ARG) {
			printf(".I %s\n%s.\n", o->name, o->help);
			continue;
		}
		if (o->short_name)
			printf("\\fB\\-%c\\fR, ", o->short_name);
		printf("\\fB\\-\\-");
		for (const char *c = o->name; *c; c++)
			printf(*c == '-' ? "\\-" : "%c", *c);
		printf("\\fR");
		if (takes_value(o))
			printf(o->flags & OPT_OPTIONAL_VALUE ? "[=\\fI%s\\fR]" : " \\fI%s\\fR", o->metavar);
		printf("\n%s.\n", o->help);
	}
}
