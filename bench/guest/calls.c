/*
 * How fast a guest's kernel serves its programs: one figure on standard output.
 *
 *   calls system SECONDS   system calls a second (getppid: nothing but the way in and out)
 *   calls fork COUNT       milliseconds for one fork, exec of a static program and wait
 *
 * Built statically with the machine's C compiler; runs as it is in a guest without libraries.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void system_calls(double seconds) {
  const double start = now();
  double elapsed;
  long calls = 0;
  do {
    for (int i = 0; i < 1000; i++) syscall(SYS_getppid);
    calls += 1000;
    elapsed = now() - start;
  } while (elapsed < seconds);
  printf("%.0f\n", calls / elapsed);
}

static void forks(const char *self, int count) {
  const double start = now();
  for (int i = 0; i < count; i++) {
    const pid_t child = fork();
    if (child == 0) {
      execl(self, self, "nothing", (char *)NULL);
      _exit(127);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) exit(1);
  }
  printf("%.3f\n", (now() - start) * 1e3 / count);
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "nothing")) return 0;
  if (argc == 3 && !strcmp(argv[1], "system")) {
    system_calls(atof(argv[2]));
    return 0;
  }
  if (argc == 3 && !strcmp(argv[1], "fork")) {
    forks(argv[0], atoi(argv[2]));
    return 0;
  }
  fputs("usage: calls system SECONDS | calls fork COUNT\n", stderr);
  return 2;
}
