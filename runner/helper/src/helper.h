/* keywarden-helper: what its parts share. The contract with the runner is in README.md. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <sys/types.h>

#define EXIT_FAILED 125
#define PACKET 32768

/* The first byte of a packet between init and supervise. */
enum {
  MSG_HELLO = 'H',  /* init: the root folder as O_PATH descriptor */
  MSG_ENV = 'E',    /* supervise: a part of the agent's environment */
  MSG_GO = 'G',     /* supervise: the environment is whole; second byte: whether to count */
  MSG_LISTEN = 'L', /* agent before its exec: the seccomp listener; second byte: the Landlock ABI */
  MSG_ACK = 'A',    /* supervise: notifications are answered from now on */
  MSG_SIGNAL = 'S', /* supervise: second byte: signal for the agent's process group */
  MSG_EXIT = 'X',   /* init: struct ending */
};

struct ending {
  char type;
  unsigned char code, signal, reason; /* reason: one of ENDED_ */
};
enum { ENDED_EXITED, ENDED_DEADLINE, ENDED_SIGNAL };

/* filter.c: what the agent may not call, and what is judged by path. */
enum kind { KIND_NONE, KIND_BLOCKED, KIND_PATH };
struct syscall_rule {
  int nr;
  const char *name;
  enum kind kind;
  signed char dirfd_arg, path_arg; /* -1: none; a dirfd_arg of -1 means the working directory */
  bool looks;                                 /* only looks (stat, readlink, access) */
};
extern const struct syscall_rule RULES[];
extern const size_t RULE_COUNT;
int install_filter(bool count); /* the listener, or -1 without counting; dies on failure */

/* classes.c: credential paths. */
struct verdict {
  int path_class; /* index of a class, or -1 */
  bool folder;    /* the protected folder itself, not what is in it */
};
bool classes_load(const char *file, char *why, size_t size);
bool classes_parse(char *text, char *why, size_t size);
void classes_home(const char *home);
struct verdict classes_match(const char *path);
const char *class_name(int path_class);
int class_count(void);
int class_named(const char *name);

/* judge.c: what a notified call gets for an answer. */
struct answer {
  int error;      /* 0: let it run */
  int path_class; /* -1: none */
  enum { COUNT_NOTHING, COUNT_DENIED, COUNT_OBSERVED, COUNT_BLOCKED, COUNT_DROPPED } count;
};
void judge_root(int root_fd);
struct answer judge(const struct seccomp_notif *call, const struct syscall_rule *rule);
bool normalise(char *path); /* lexically, in place; false when it is too long */

/* init.c, supervise.c, landlock.c */
int init_main(int argc, char **argv);
int supervise_main(int argc, char **argv);
int landlock_abi(void);
bool landlock_enforce(int abi);

_Noreturn void die(const char *what);
int send_fd(int socket, const void *data, size_t size, int fd);
ssize_t receive_fd(int socket, void *data, size_t size, int *fd);
