/* keywarden-helper: what its parts share. The contract with the runner is in README.md. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_FAILED 125

/* What the runner tells supervise on its life descriptor, and what supervise and init say to each other, a packet each. */
struct message {
  char type; /* one of these */
  unsigned char value;
  uint16_t more, rows;
};
enum {
  MSG_HELLO = 'H',  /* init: the root folder as O_PATH descriptor */
  MSG_GO = 'G',     /* supervise: where to read the agent's environment; value: whether to count */
  MSG_LISTEN = 'L', /* agent before its exec: the seccomp listener; value: the Landlock ABI */
  MSG_RESIZE = 'R', /* runner: more, rows: the terminal's size */
  MSG_SIGNAL = 'S', /* runner, supervise: value: signal for the agent's process group; SIGKILL: for all */
  MSG_EXIT = 'X',   /* init: value: exit code; more: signal */
};

/* The tables, made from system-calls.txt and credential-paths.txt. */
#define MOST_CLASSES 48
#define MOST_RULES 128
extern const struct syscall_rule {
  int nr;
  const char *name;
  signed char dirfd_arg, path_arg; /* -1: the working directory; -1: refused without a look */
  bool looks, never;               /* only looks (stat, readlink, access); whatever its path is, the call is said not to exist */
  struct { unsigned arg, mask; } refused[2]; /* with bits of both it is refused without a look */
} RULES[];
extern const struct sock_fprog COUNTING, SILENT;
extern const char *const CLASSES[];
extern const struct pattern {
  short path_class;
  enum { BELOW_HOME, ABSOLUTE, IN_PROC, ANYWHERE } where;
  bool folder, soft, observed, except; /* soft: that the folder is there is no secret */
  unsigned short prefix; /* bytes before the first sign with a meaning */
  const char *text;
} PATTERNS[];
extern const size_t RULE_COUNT, PATTERN_COUNT;
extern const int CLASS_COUNT;

/* judge.c: what a notified call gets for an answer. */
enum count { COUNT_DENIED, COUNT_OBSERVED, COUNT_BLOCKED, COUNT_DROPPED, COUNT_NOTHING };
struct answer {
  int error;      /* 0: let it run */
  int path_class; /* -1: none */
  enum count count;
};
extern int judge_root; /* O_PATH; -1: everything is in doubt */
extern const char *judge_home;
struct answer judge(const struct seccomp_notif *call, const struct syscall_rule *rule);
bool normalise(char *path); /* lexically, in place; false when it is too long */

/* walls.c: what the agent puts on before its exec. */
void drop_privileges(long uid, long gid);
int landlock_abi(void);
bool landlock_enforce(int abi);
int install_filter(bool count); /* the listener, or -1 without counting */

/* main.c */
_Noreturn void die_with(int code, const char *what); /* and what errno says */
#define die(what) die_with(EXIT_FAILED, what)
bool tell(int socket, struct message message, int fd);
bool hear(int socket, struct message *message, int *fd); /* false when the other side is gone */
int unix_socket(const char *path, int type, bool listens); /* or -1 */
int signals_to_read(void); /* blocks them, too */

int init_main(char **argv), supervise_main(char **argv);
void forward(int port, const char *edge); /* forward.c; from now on, in a thread of its own */
