/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One program, many commands: by the name it was called with, or by its first word. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <pdata/problems.h>
#include "tools/commands.h"
#include "config.h"
#include "tools/frame.h"

#ifdef PDATA_DEV
#define PROGRAM "pdata_tools_dev"
#define LIST(X) PDATA_COMMANDS(X) PDATA_DEV_COMMANDS(X)
const bool developer_program = true;
#else
#define PROGRAM "pdata_tools"
#define LIST(X) PDATA_COMMANDS(X)
const bool developer_program = false;
#endif

#define DECLARE(name) extern const struct command name##_cmd;
#define ENTRY(name) &name##_cmd,
LIST(DECLARE)
static const struct command *const commands[] = { LIST(ENTRY) NULL };

static const struct command *find(const char *name)
{
	for (unsigned i = 0; commands[i]; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static void list(FILE *out)
{
	fprintf(out, "Usage: " PROGRAM " COMMAND [OPTION]... [ARGUMENT]...\n\nCommands:\n");
	for (unsigned i = 0; commands[i]; i++)
		fprintf(out, "  %-24s %s\n", commands[i]->name, commands[i]->about);
	fprintf(out, "\nCOMMAND --help tells more.\n");
}

#ifdef PDATA_DEV
/* The problem table as man page source. */
static void print_problems(void)
{
	static const char *const severity[] = { "note", "warning", "error", "fatal" };
	static const char *const action[] = {
		[PD_ACT_REPORT] = "It is reported; nothing can be done about it in place.",
		[PD_ACT_PATCH] = "--auto-repair mends it.",
		[PD_ACT_REBUILD_SM] = ("New space maps mend it: thin_repair, or thin_repair --in-place "
				       "where all trees are sound."),
		[PD_ACT_DROP_KEYS] = "Repair leaves out what cannot be read, and says what that is.",
	};

	for (unsigned p = PD_PR_NONE + 1; p < PD_NR_PROBLEMS; p++) {
		const struct pd_problem_row *row = pd_problem_row((enum pd_problem)p);

		printf(".TP\n.BR %s \" (%s)\"\n%c%s.\n%s\n", row->name, severity[row->severity],
		       row->text[0] - ('a' <= row->text[0] && row->text[0] <= 'z' ? 32 : 0),
		       row->text + 1, action[row->action]);
	}
}
#endif

int main(int argc, char **argv)
{
	const char *name = argc ? strrchr(argv[0], '/') : NULL;
	const struct command *cmd;

	/* A standard stream that is closed would be given to the next file opened. */
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd)
			return EXIT_BAD;
	name = name ? name + 1 : argc ? argv[0] : "";
	cmd = find(name);
	if (cmd)
		return frame_main(cmd, argc, argv);
	if (argc < 2) {
		list(stderr);
		return EXIT_USAGE;
	}
	cmd = find(argv[1]);
	if (cmd)
		return frame_main(cmd, argc - 1, argv + 1);
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		list(stdout);
		return EXIT_CLEAN;
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		puts(PACKAGE_VERSION);
		return EXIT_CLEAN;
	}
#ifdef PDATA_DEV
	/* The build makes the options sections of the man pages with this. */
	if (!strcmp(argv[1], "man-options") && argc == 3 && find(argv[2])) {
		opts_print_man(find(argv[2]));
		return EXIT_CLEAN;
	}
	if (!strcmp(argv[1], "man-problems") && argc == 2) {
		print_problems();
		return EXIT_CLEAN;
	}
#endif
	fprintf(stderr, "error: there is no command '%s'\n\n", argv[1]);
	list(stderr);
	return EXIT_USAGE;
}
