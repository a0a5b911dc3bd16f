/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Times two commands in turn, A B A B, and prints one line of the table.
 *
 * usage: measure NAME ROUNDS COLDFILE|- FLOOR_MS|- CMD_A CMD_B
 *
 * Words of a command are split at blanks; its output goes nowhere. With COLDFILE its pages are dropped before each run.
 * CMD_B may be "-": A alone.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_ROUNDS 99

struct side {
	const char *cmd;
	double ms[MAX_ROUNDS];
	long peak_kib;
	int status;
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void drop(const char *path)
{
	int fd = open(path, O_RDWR);

	if (fd < 0 || fdatasync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)) {
		perror(path);
		exit(1);
	}
	close(fd);
}

static void once(struct side *s, unsigned round)
{
	double begin = now_ms();
	struct rusage ru;
	int status;
	pid_t pid = fork();

	if (pid < 0) {
		perror("fork");
		exit(1);
	}
	if (!pid) {
		int null = open("/dev/null", O_WRONLY);
		char *words[64], *line = strdup(s->cmd), *save = NULL;
		unsigned n = 0;

		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		for (char *w = strtok_r(line, " ", &save); w && n < 63; w = strtok_r(NULL, " ", &save))
			words[n++] = w;
		words[n] = NULL;
		execv(words[0], words);
		_exit(127);
	}
	if (wait4(pid, &status, 0, &ru) != pid)
		exit(1);
	s->ms[round] = now_ms() - begin;
	if (ru.ru_maxrss > s->peak_kib)
		s->peak_kib = ru.ru_maxrss;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		s->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(struct side *s, unsigned nr)
{
	qsort(s->ms, nr, sizeof(s->ms[0]), by_size);
	return nr % 2 ? s->ms[nr / 2] : (s->ms[nr / 2 - 1] + s->ms[nr / 2]) / 2;
}

static void print_side(struct side *s, double ms)
{
	if (s->status)
		printf(" %10s %8s", "failed", "-");
	else
		printf(" %10.1f %8.1f", ms, (double)s->peak_kib / 1024);
}

int main(int argc, char **argv)
{
	struct side a = { 0 }, b = { 0 };
	unsigned rounds;
	const char *cold;
	double ms_a, ms_b = 0, floor_ms;

	if (argc != 7) {
		fprintf(stderr, "usage: measure NAME ROUNDS COLDFILE|- FLOOR_MS|- CMD_A CMD_B|-\n");
		return 64;
	}
	rounds = (unsigned)atoi(argv[2]);
	rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
	cold = strcmp(argv[3], "-") ? argv[3] : NULL;
	floor_ms = atof(argv[4]);
	a.cmd = argv[5];
	b.cmd = strcmp(argv[6], "-") ? argv[6] : NULL;
	for (unsigned i = 0; i < rounds; i++) {
		if (cold)
			drop(cold);
		once(&a, i);
		if (b.cmd && cold)
			drop(cold);
		if (b.cmd)
			once(&b, i);
	}
	ms_a = median(&a, rounds);
	printf("%-34s", argv[1]);
	print_side(&a, ms_a);
	if (b.cmd) {
		ms_b = median(&b, rounds);
		print_side(&b, ms_b);
	} else {
		printf(" %10s %8s", "-", "-");
	}
	if (b.cmd && !a.status && !b.status)
		printf(" %7.2f", ms_b / ms_a);
	else
		printf(" %7s", "-");
	if (floor_ms > 0 && !a.status)
		printf(" %7.2f\n", ms_a / floor_ms);
	else
		printf(" %7s\n", "-");
	return a.status != 0;
}
