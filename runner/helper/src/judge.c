/* Which path a notified call means, and what it gets for an answer. */
#include "helper.h"
#include <ctype.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/uio.h>

int judge_root = -1;
const char *judge_home = "/home/agent";

/* One short read for most strings. No read crosses a page: the next one may not be mapped. */
static ssize_t read_string(pid_t pid, uint64_t address, char *text, size_t size) {
  if (address == 0) return 0; /* as the kernel has it since 6.11; before, it says EFAULT */
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

static const struct answer DOUBT = {EACCES, -1, COUNT_DROPPED}, PASS = {0, -1, COUNT_NOTHING};

/* The rest of the path below some home folder, or NULL. */
static const char *below_home(const char *path) {
  size_t length = strlen(judge_home);
  if (!strncmp(path, judge_home, length) && path[length] == '/') return path + length + 1;
  if (!strncmp(path, "/root/", 6)) return path + 6;
  const char *slash = strncmp(path, "/home/", 6) ? NULL : strchr(path + 6, '/');
  return slash ? slash + 1 : NULL;
}

static bool in_proc(const char *path) { return !strncmp(path, "/proc", 5) && (!path[5] || path[5] == '/'); }

/* `path` is absolute and normalised. A name that is excepted is no credential, wherever it is. */
static struct answer match(const char *path, bool looks) {
  struct answer found = PASS;
  const char *subjects[] = {below_home(path), path, in_proc(path) ? path : NULL, strrchr(path, '/') + 1}; /* by `where` */
  for (const struct pattern *p = PATTERNS; p < PATTERNS + PATTERN_COUNT; p++) {
    const char *subject = subjects[p->where];
    if (!subject || (p->prefix && *subject != *p->text) || strncmp(subject, p->text, p->prefix) != 0) continue;
    bool whole = fnmatch(p->text, subject, FNM_PATHNAME) == 0;
    if (!whole && !(p->folder && fnmatch(p->text, subject, FNM_PATHNAME | FNM_LEADING_DIR) == 0)) continue;
    if (p->except) return PASS;
    /* That a folder is there is no secret: `ls -l ~` must not fill the counter. What lies in another one is. */
    bool seen = p->observed || (p->soft && whole && looks);
    if (found.count == COUNT_DENIED || (found.count == COUNT_OBSERVED && seen)) continue;
    found = seen ? (struct answer){0, p->path_class, COUNT_OBSERVED} : (struct answer){EACCES, p->path_class, COUNT_DENIED};
  }
  return found;
}

/* Read-only by the mounts: no symlink of the agent's making can be there. */
static bool is_system(const char *path) {
  return !strncmp(path, "/usr/", 5) || !strncmp(path, "/lib", 4) || !strncmp(path, "/etc/", 5) || !strncmp(path, "/bin/", 5);
}

static int open_in_root(const char *path, uint64_t flags, uint64_t resolve) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC | flags, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve};
  return (int)syscall(SYS_openat2, judge_root, path, &how, sizeof how);
}

/* No symlink on the way, as far as it exists: then the path leads where its letters say. One call, where following takes many. */
static bool leads_straight(const char *path) {
  /* O_DIRECTORY: at the end of its way to a file the kernel says ENOTDIR, and there is nothing to close. */
  int fd = open_in_root(path, O_DIRECTORY, RESOLVE_NO_SYMLINKS);
  if (fd >= 0) close(fd);
  return fd >= 0 || errno == ENOENT || errno == ENOTDIR || errno == EACCES;
}

/* A link of the asker's in /proc to something with a path. */
static bool proc_link(pid_t pid, const char *name, char *target) {
  char link[64];
  snprintf(link, sizeof link, "/proc/%d/%s", pid, name);
  ssize_t length = readlink(link, target, PATH_MAX);
  if (length < 0) return false;
  target[length] = 0;
  errno = length == PATH_MAX ? ENAMETOOLONG : ENOTSUP;
  return length < PATH_MAX && target[0] == '/';
}

/* A number of the asker's: `Tgid:` as we count, `NStgid:` (the last) as it does itself, in its own pid namespace; -1 in doubt. */
static long status_of(pid_t pid, const char *name) {
  char line[256];
  snprintf(line, sizeof line, "/proc/%d/status", pid);
  FILE *status = fopen(line, "re");
  const char *last = NULL;
  while (status && !last && fgets(line, sizeof line, status))
    if (!strncmp(line, name, strlen(name))) last = strrchr(line, '\t');
  if (status) fclose(status);
  return last ? atol(last + 1) : -1;
}

enum step { STEP_DONE, STEP_AGAIN, STEP_DOUBT };

/*
 * The target of `path`, when that is a link: no other is on the way to it. One in /proc is read as the asker's, of which the
 * kernel would tell us our own (threat B5): `self` for every name of its own folder, then `root`, `cwd` and `fd`.
 */
static enum step target_of(pid_t pid, const char *path, char *target) {
  if (!strcmp(path, "/proc/thread-self")) return strcpy(target, "self/task/0"), STEP_AGAIN;
  if (!strncmp(path, "/proc/self/", 11)) {
    const char *name = path + 11, *inner = strncmp(name, "task/", 5) ? NULL : strchr(name + 5, '/');
    if (inner) name = inner + 1;
    bool cwd = !strcmp(name, "cwd");
    if (!strcmp(name, "root")) return strcpy(target, "/"), STEP_AGAIN;
    if (!cwd && strncmp(name, "fd/", 3) != 0) return STEP_DONE;
    /* A thread may have a working directory and descriptors of its own; which of them another number means, we cannot tell. */
    long whose = !inner ? status_of(pid, "Tgid:") : strncmp(path + 11, "task/0/", 7) ? -1 : pid;
    if (whose < 0) return STEP_DOUBT;
    /* A pipe, a socket, or nothing is not followed. */
    return proc_link((pid_t)whose, name, target) ? STEP_AGAIN : cwd ? STEP_DOUBT : STEP_DONE;
  }
  if (in_proc(path)) {
    char *end = NULL;
    long number = path[5] && isdigit((unsigned char)path[6]) ? strtol(path + 6, &end, 10) : 0, own = number ? status_of(pid, "NStgid:") : 0;
    if (!number || *end) return STEP_DONE;
    return own < 0 ? STEP_DOUBT : own == number ? (strcpy(target, "self"), STEP_AGAIN) : STEP_DONE;
  }
  int fd = open_in_root(path, O_NOFOLLOW, 0);
  ssize_t length = fd < 0 ? -1 : readlinkat(fd, "", target, PATH_MAX);
  if (fd >= 0) close(fd);
  if (length == PATH_MAX) return STEP_DOUBT;
  target[length > 0 ? length : 0] = 0;
  return length > 0 ? STEP_AGAIN : STEP_DONE;
}

/*
 * Takes the first link on the way by hand. Without one `path` becomes where it leads, which need not exist; that is where
 * its letters say when links are not to be followed at all.
 */
static enum step walk(pid_t pid, char *path, bool follow) {
  char real[PATH_MAX], target[PATH_MAX + 1], rebuilt[PATH_MAX * 2];
  size_t length = 0;
  for (char *at = path; *(at += strspn(at, "/"));) {
    size_t size = strcspn(at, "/"), parent = length;
    const char *name = at;
    at += size;
    if (size == 1 && name[0] == '.') continue;
    if (size == 2 && name[0] == '.' && name[1] == '.') {
      while (length > 0 && real[--length] != '/') {}
      continue;
    }
    if (length + size + 2 > sizeof real) return STEP_DOUBT;
    real[length++] = '/';
    memcpy(real + length, name, size);
    real[length += size] = 0;
    if (!follow) continue;
    /* What is another process's own is not to be passed through either. */
    if (in_proc(real) && match(real, false).path_class >= 0) break;
    enum step step = target_of(pid, real, target);
    if (step == STEP_DONE) continue;
    if (step == STEP_DOUBT) return step;
    int kept = target[0] == '/' ? 0 : (int)parent;
    if (snprintf(rebuilt, sizeof rebuilt, "%.*s/%s/%s", kept, real, target, at) >= PATH_MAX) return STEP_DOUBT;
    strcpy(path, rebuilt);
    return step;
  }
  real[length] = 0;
  strcpy(path, length ? real : "/");
  return STEP_DONE;
}

bool normalise(char *path) { return walk(0, path, false) == STEP_DONE; }

/*
 * The string may change after we have read it (threat B13): a yes of ours is no wall. It is only given where the first wall
 * already forbids the secret: it is not mounted, and what stands at its place is a decoy. A no is a wall: the call never runs.
 */
struct answer judge(const struct seccomp_notif *call, const struct syscall_rule *rule) {
  char path[PATH_MAX * 2], given[PATH_MAX], written[PATH_MAX * 2];
  const uint64_t *args = (const uint64_t *)call->data.args; /* registers, of which we have a copy: nobody can change these */
  bool refused = args[rule->refused[0].arg] & rule->refused[0].mask && args[rule->refused[1].arg] & rule->refused[1].mask;
  if (rule->path_arg < 0 || refused) return (struct answer){rule->nr == __NR_socket ? EAFNOSUPPORT : EPERM, -1, COUNT_BLOCKED};
  pid_t pid = (pid_t)call->pid;
  ssize_t length = read_string(pid, args[(int)rule->path_arg], given, sizeof given);
  if (length < 0 || judge_root < 0) return DOUBT;
  if (length == 0) return PASS; /* AT_EMPTY_PATH: the descriptor was judged when it was opened; otherwise the kernel says ENOENT */
  struct open_how how = {0};
  struct iovec to = {&how, sizeof how}, from = {(void *)(uintptr_t)args[2], sizeof how};
  if (rule->nr == SYS_openat2 && process_vm_readv(pid, &to, 1, &from, 1, 0) != sizeof how) return DOUBT;
  const bool own_root = how.resolve & RESOLVE_IN_ROOT; /* to which `/`, `..` and the links lead: we follow none of them */
  path[0] = 0;
  if (given[0] != '/' || own_root) {
    int dirfd = rule->dirfd_arg < 0 ? AT_FDCWD : (int)args[(int)rule->dirfd_arg];
    char name[32] = "cwd";
    if (dirfd != AT_FDCWD) snprintf(name, sizeof name, "fd/%d", dirfd);
    if (!proc_link(pid, name, path)) return errno == ENOENT || errno == EBADF ? PASS : DOUBT;
    strcat(path, "/");
  }
  strcat(path, given);
  /* As it is written, then as it leads: a decoy is protected under every name. The kernel, too, follows 40 links at most. */
  for (int links = 0; links <= 40; links++) {
    strcpy(written, path);
    if (!normalise(written)) return DOUBT;
    /* Whose /proc/1 it is shows only on the way. */
    if (!in_proc(path) && !in_proc(written)) {
      struct answer answer = match(written, rule->looks);
      if (answer.path_class >= 0) return answer;
      /* With a `..` the letters may say /usr where the kernel means /tmp/usr: then only the kernel knows. */
      if (!strstr(path, "/..") && is_system(written)) return PASS;
      if (leads_straight(path) && !(own_root && strstr(path, "/.."))) return PASS;
      if (own_root) return (struct answer){ENOSYS, -1, COUNT_DROPPED}; /* as on an old kernel: programs can do without */
    }
    enum step step = walk(pid, path, true);
    if (step == STEP_DOUBT) return DOUBT;
    if (step == STEP_DONE) return match(path, rule->looks);
  }
  return DOUBT;
}
