#include "helper.h"
#include <ctype.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/uio.h>

static int root = -1;
void judge_root(int root_fd) { root = root_fd; }

/* One short read for most strings. No read crosses a page: the next one may not be mapped. */
static ssize_t read_string(pid_t pid, uint64_t address, char *text, size_t size) {
  if (address == 0) return -1;
  for (size_t at = 0; at < size;) {
    size_t part = 4096 - ((address + at) & 4095);
    if (at == 0 && part > 256) part = 256;
    if (part > size - at) part = size - at;
    struct iovec local = {text + at, part}, remote = {(void *)(uintptr_t)(address + at), part};
    ssize_t got = process_vm_readv(pid, &local, 1, &remote, 1, 0);
    if (got <= 0) return -1;
    const char *end = memchr(text + at, 0, (size_t)got);
    if (end) return end - text;
    at += (size_t)got;
  }
  return -1;
}

/* `..` stays where a link may stand before it: `/proc/self/cwd/..` is not `/proc/self`. */
static bool simplify(char *path, bool dots) {
  char *to = path, *from = path;
  if (*path != '/') return false;
  while (*from) {
    while (*from == '/') from++;
    size_t length = strcspn(from, "/");
    if (length == 0) break;
    if (length == 1 && from[0] == '.') {
    } else if (dots && length == 2 && from[0] == '.' && from[1] == '.') {
      while (to > path && *--to != '/') {}
    } else {
      *to++ = '/';
      memmove(to, from, length);
      to += length;
    }
    from += length;
  }
  if (to == path) *to++ = '/';
  *to = 0;
  return true;
}

bool normalise(char *path) { return simplify(path, true); }

static bool link_of(const char *link, char *text, size_t size) {
  ssize_t length = readlink(link, text, size - 1);
  if (length <= 0 || (size_t)length == size - 1) return false;
  text[length] = 0;
  return true;
}

/* What a relative path is relative to. */
static bool base_of(pid_t pid, int dirfd, char *text, size_t size) {
  char link[64];
  if (dirfd == AT_FDCWD) snprintf(link, sizeof link, "/proc/%d/cwd", pid);
  else snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, dirfd);
  return link_of(link, text, size) && text[0] == '/';
}

/* The process's number in its own, innermost, pid namespace. */
static long own_number(pid_t pid) {
  char file[64], text[4096], *line;
  snprintf(file, sizeof file, "/proc/%d/status", pid);
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (length <= 0) return -1;
  text[length] = 0;
  long number = -1;
  if ((line = strstr(text, "\nNStgid:"))) {
    line += 8;
    for (char *end; *line && *line != '\n'; line = end) {
      long value = strtol(line, &end, 10);
      if (end == line) break;
      number = value;
    }
  }
  return number;
}

enum proc { PROC_NO, PROC_AGAIN, PROC_OTHER, PROC_ENVIRON, PROC_OWN_ENVIRON, PROC_DOUBT };

/* `/proc/self/root/x` is `/x` (threat B5): takes one such step, or says what else the path is. */
static enum proc through_proc(pid_t pid, char *path) {
  static const char *const PRIVATE[] = {"environ", "mem", "maps", "smaps", "smaps_rollup", "numa_maps", "map_files", "root", "cwd", "fd", "fdinfo", "exe", "auxv", "stack", "syscall", "personality", "io", "pagemap", "task"};
  char *name = path + 6, *rest, rebuilt[PATH_MAX];
  if (strncmp(path, "/proc/", 6) != 0) return PROC_NO;
  bool own = false;
  if (!strncmp(name, "self/", 5)) own = true, rest = name + 5;
  else if (!strncmp(name, "thread-self/", 12)) own = true, rest = name + 12;
  else if (isdigit((unsigned char)*name)) {
    long number = strtol(name, &rest, 10);
    if (*rest++ != '/') return PROC_NO;
    long mine = own_number(pid);
    if (mine < 0) return PROC_DOUBT;
    own = number == mine;
  } else return PROC_NO;
  if (own && !strncmp(rest, "task/", 5)) {
    char *inner = strchr(rest + 5, '/');
    if (!inner) return PROC_NO;
    rest = inner + 1;
  }
  if (!own) {
    size_t length = strcspn(rest, "/");
    for (size_t i = 0; i < sizeof PRIVATE / sizeof *PRIVATE; i++)
      if (strlen(PRIVATE[i]) == length && !strncmp(rest, PRIVATE[i], length)) {
        if (!strcmp(PRIVATE[i], "task")) return strstr(rest, "/environ") ? PROC_ENVIRON : strchr(rest + 5, '/') ? PROC_OTHER : PROC_NO;
        return i == 0 ? PROC_ENVIRON : PROC_OTHER;
      }
    return PROC_NO;
  }
  if (!strcmp(rest, "environ")) return PROC_OWN_ENVIRON;
  const char *to;
  char base[PATH_MAX], link[64], *tail;
  if (!strncmp(rest, "root", 4) && (!rest[4] || rest[4] == '/')) to = "/", tail = rest + 4;
  else if (!strncmp(rest, "cwd", 3) && (!rest[3] || rest[3] == '/')) {
    if (!base_of(pid, AT_FDCWD, base, sizeof base)) return PROC_DOUBT;
    to = base, tail = rest + 3;
  } else if (!strncmp(rest, "fd/", 3) && isdigit((unsigned char)rest[3])) {
    long number = strtol(rest + 3, &tail, 10);
    snprintf(link, sizeof link, "/proc/%d/fd/%ld", pid, number);
    if (!link_of(link, base, sizeof base) || base[0] != '/') return PROC_NO; /* a pipe, a socket, or nothing */
    to = base;
  } else return PROC_NO;
  if (snprintf(rebuilt, sizeof rebuilt, "%s%s", to, tail) >= (int)sizeof rebuilt) return PROC_DOUBT;
  strcpy(path, rebuilt);
  return simplify(path, false) ? PROC_AGAIN : PROC_DOUBT;
}

/* Read-only by the mounts: no symlink of the agent's making can be there. */
static bool is_system(const char *path) {
  return !strncmp(path, "/usr/", 5) || !strncmp(path, "/lib", 4) || !strncmp(path, "/etc/", 5) || !strncmp(path, "/bin/", 5);
}

static int open_in_root(const char *path, uint64_t flags, uint64_t resolve) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC | flags, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve};
  return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

enum lead { LEAD_DONE, LEAD_AGAIN, LEAD_DOUBT };

/* Takes the first symlink on the way by hand: one to /proc/self means the asker, which the kernel would not know of us. */
static enum lead follow_one(char *path) {
  char link[PATH_MAX], rebuilt[PATH_MAX * 2];
  for (char *slash = path; slash;) {
    slash = strchr(slash + 1, '/');
    if (slash) *slash = 0;
    int fd = open_in_root(path, O_NOFOLLOW, 0);
    ssize_t length = fd < 0 ? -1 : readlinkat(fd, "", link, sizeof link - 1);
    if (fd >= 0) close(fd);
    if (length > 0) {
      link[length] = 0;
      char *up = strrchr(path, '/');
      int parent = link[0] == '/' ? 0 : (int)(up - path);
      int size = snprintf(rebuilt, sizeof rebuilt, "%.*s/%s%s%s", parent, path, link, slash ? "/" : "", slash ? slash + 1 : "");
      if (size >= PATH_MAX) return LEAD_DOUBT;
      strcpy(path, rebuilt);
      return simplify(path, false) ? LEAD_AGAIN : LEAD_DOUBT;
    }
    if (slash) *slash = '/';
    if (fd < 0) break;
  }
  return LEAD_DONE;
}

/* No symlink on the way, as far as it exists: then the path leads where its letters say. One call, where resolving takes many. */
static bool leads_straight(const char *path) {
  if (root < 0) return false;
  int fd = open_in_root(path, 0, RESOLVE_NO_SYMLINKS);
  if (fd >= 0) close(fd);
  return fd >= 0 || errno == ENOENT || errno == ENOTDIR || errno == EACCES;
}

/* Where a path really leads, in the sandbox's own root. Keeps the text when there is nothing: then the kernel finds nothing. */
static enum lead resolve(char *path) {
  char link[40], found[PATH_MAX];
  if (root < 0) return LEAD_DOUBT;
  int fd = open_in_root(path, 0, 0);
  if (fd < 0) return errno == EACCES ? LEAD_DONE : follow_one(path);
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  bool read = link_of(link, found, sizeof found);
  close(fd);
  if (!read || found[0] != '/') return LEAD_DOUBT;
  strcpy(path, found);
  return LEAD_DONE;
}

static const struct answer DOUBT = {EACCES, -1, COUNT_DROPPED};
static const struct answer PASS = {0, -1, COUNT_NOTHING};

static struct answer by_class(struct verdict verdict, bool looks) {
  /* That the folder is there is no secret: `ls -l ~` must not fill the counter. */
  if (verdict.folder && looks) return (struct answer){0, verdict.path_class, COUNT_OBSERVED};
  return (struct answer){EACCES, verdict.path_class, COUNT_DENIED};
}

/*
 * The string may change after we have read it (threat B13): a yes of ours is no wall. It is only given where the first wall
 * already forbids the secret: it is not mounted, and what stands at its place is a decoy. A no is a wall: the call never runs.
 */
struct answer judge(const struct seccomp_notif *call, const struct syscall_rule *rule) {
  char path[PATH_MAX * 2], given[PATH_MAX];
  if (rule->kind == KIND_BLOCKED) return (struct answer){rule->nr == __NR_socket ? EAFNOSUPPORT : EPERM, -1, COUNT_BLOCKED};
  pid_t pid = (pid_t)call->pid;
  ssize_t length = read_string(pid, call->data.args[(int)rule->path_arg], given, sizeof given);
  if (length < 0) return DOUBT;
  if (length == 0) return PASS; /* AT_EMPTY_PATH: the descriptor was judged when it was opened; otherwise the kernel says ENOENT */
  if (given[0] == '/') strcpy(path, given);
  else {
    int dirfd = rule->dirfd_arg < 0 ? AT_FDCWD : (int)call->data.args[(int)rule->dirfd_arg];
    if (!base_of(pid, dirfd, path, PATH_MAX)) return errno == ENOENT || errno == EBADF ? PASS : DOUBT;
    strcat(path, "/");
    strcat(path, given);
  }
  /* As it is written, then as it leads: a decoy is protected under every name. */
  for (int step = 0; step < 16; step++) {
    char written[PATH_MAX * 2];
    if (!simplify(path, false) || strlen(path) >= PATH_MAX) return DOUBT;
    enum proc proc = through_proc(pid, path);
    strcpy(written, path);
    if (!normalise(written)) return DOUBT;
    if (proc == PROC_NO && strcmp(written, path) != 0) {
      char copy[PATH_MAX * 2];
      strcpy(copy, written);
      proc = through_proc(pid, copy);
      if (proc == PROC_AGAIN) strcpy(path, copy);
    }
    switch (proc) {
      case PROC_NO: break;
      case PROC_AGAIN: continue;
      case PROC_ENVIRON: return (struct answer){EACCES, class_named("proc-environ"), COUNT_DENIED};
      case PROC_OTHER: return (struct answer){EACCES, class_named("proc-other"), COUNT_DENIED};
      case PROC_OWN_ENVIRON: return (struct answer){0, class_named("proc-environ"), COUNT_OBSERVED};
      case PROC_DOUBT: return DOUBT;
    }
    struct verdict verdict = classes_match(written);
    if (verdict.path_class >= 0) return by_class(verdict, rule->looks);
    /* A look gives no content away: an alias of a name that is only looked at is not worth following at every stat of git's. */
    /* With a `..` the letters may say /usr where the kernel means /tmp/usr: then only the kernel knows. */
    bool plain = !strstr(path, "/..");
    if (rule->looks || (plain && (is_system(written) || !strncmp(written, "/proc/", 6)))) return PASS;
    if (strlen(path) >= PATH_MAX) return DOUBT;
    if (plain && leads_straight(path)) return PASS;
    char before[PATH_MAX];
    strcpy(before, path);
    enum lead lead = resolve(path);
    if (lead == LEAD_DOUBT) return DOUBT;
    if (lead == LEAD_AGAIN) continue;
    /* A link into /proc is judged as if it had been written: it may lead to another's environ. */
    if (!strncmp(path, "/proc/", 6) && strcmp(path, before) != 0) continue;
    verdict = classes_match(path);
    return verdict.path_class >= 0 ? by_class(verdict, rule->looks) : PASS;
  }
  return DOUBT;
}
