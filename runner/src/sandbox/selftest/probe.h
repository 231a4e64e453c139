/* The attacks of `keywarden selftest`: each says what it tried, and whether it got through. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* One attempt; true: it got through. Prints `name through` or `name EACCES`. */
bool tried(const char *name, bool through);
/* The file can be opened and something be read of it. */
bool reads(const char *path);
const char *home(const char *below);
const char *temporary(const char *below);

struct probe {
  const char *name;
  void (*run)(int argc, char **argv);
};
extern const struct probe FILES[], CALLS[], CHANNELS[];
