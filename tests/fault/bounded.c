/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * usage: bounded SECONDS MIB COMMAND [ARGUMENT]...
 *
 * Runs the command. The status is its own if it took no more processor time and memory (peak resident) than that; else 99,
 * after a line on standard error. In environment BOUNDED_SAY it says how much it was in any case.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rusage ru;
	double seconds, took, mib;
	int status;
	pid_t pid;

	if (argc < 4)
		return 64;
	seconds = atof(argv[1]);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct rlimit cpu = { (rlim_t)seconds + 2, (rlim_t)seconds + 2 };

		setrlimit(RLIMIT_CPU, &cpu);	/* a hang ends */
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &ru) != pid)
		return 99;
	took = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	mib = (double)ru.ru_maxrss / 1024;
	if (getenv("BOUNDED_SAY"))
		fprintf(stderr, "%s: %.2f s, %.0f MiB\n", argv[3], took, mib);
	if (took > seconds || mib > atof(argv[2])) {
		fprintf(stderr, "%s took %.1f s and %.0f MiB; allowed are %s and %s\n", argv[3], took, mib, argv[1], argv[2]);
		return 99;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
