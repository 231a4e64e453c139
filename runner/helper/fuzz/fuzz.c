/*
 * Throws random paths at the judge, under the sanitizers. The kernel is the oracle: whatever path it opens and
 * finds the secret at must have been denied, however it was spelled; and what leads elsewhere must not have been.
 *
 *   fuzz SEED ROUNDS FOLDER      FOLDER is empty and the fuzzer's own; exit code 1 and the path when a law is broken
 */
#include "../src/helper.h"
#include <limits.h>
#include <sys/stat.h>

_Noreturn void die_with(int code, const char *what) { perror(what), exit(code); }

static uint64_t state;
static uint32_t roll(uint32_t below) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (uint32_t)(state >> 33) % below;
}

static const char *const WORDS[] = {"home", ".aws", "credentials", "..", ".", "", "link", "deep", "proc", "self", "thread-self", "root", "cwd", "fd", "task", "3", "environ", "plain", "loop", "up", "abs", "1", ".env", ".env.example", "none", "to-proc", "to-one", "trap", "own"};
enum { WORD_COUNT = sizeof WORDS / sizeof *WORDS };

/* Our own /proc by number, and a way of which the letters say /proc where the kernel, after a link and `..`, means a folder of ours. */
static char own[64], own_task[64], climb[256] = "trap";

static void random_path(char *to, const char *folder) {
  static const char *const PREFIX[] = {"", "/", "/proc/self/root", "/proc/self/cwd", "/proc/thread-self/root", "//", "/proc/self/fd/3", "/proc/self/task/../root", own, own_task, "/proc/thread-self/../../root", "/proc/self/task/../../self/root", "/proc/thread-self/cwd"};
  static const char *const LONG[] = {"/proc/self/root", "/proc/thread-self/root", own, own_task, "/proc/thread-self/../../root", "/proc/self/task/../../self/root", "/proc/self/cwd/../../../../../../.."};
  static const char *const DETOURS[] = {"home/..", "plain/..", "home/deep/up", "plain/abs", ".", "", "home/.aws/../..", "plain/link/../..", "home/deep/../../plain/.."};
  static const char *const ENDS[] = {"home/.aws/credentials", "home/link", "plain/link/credentials", "plain/credentials", "home/deep/../.aws/credentials", "home/.aws/link", "home/deep/none", climb};
  *to = 0;
  if (roll(2)) { /* a way that leads somewhere, by detours; now and then one word too many */
    strcat(strcat(to, LONG[roll(7)]), folder);
    if (roll(3) == 0) strcpy(to, folder);
    for (uint32_t i = roll(5); i > 0; i--) strcat(strcat(to, "/"), DETOURS[roll(9)]);
    if (roll(8) == 0) strcat(strcat(to, "/"), WORDS[roll(WORD_COUNT)]);
    strcat(strcat(to, "/"), ENDS[roll(8)]);
    return;
  }
  if (roll(4)) strcat(to, PREFIX[roll(13)]);
  if (roll(2)) strcat(to, folder);
  for (uint32_t i = roll(8); i > 0; i--) {
    strcat(to, "/");
    strcat(to, WORDS[roll(WORD_COUNT)]);
  }
  if (*to == 0) strcpy(to, WORDS[1 + roll(WORD_COUNT - 1)]);
  if (roll(20) == 0) to[roll((uint32_t)strlen(to) + 1)] = (char)(1 + roll(255));
}

static void broken(const char *law, const char *path, const char *cwd) {
  printf("broken: %s: %s (in %s)\n", law, path, cwd);
  exit(1);
}

static void write_file(const char *path) {
  int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0 || close(fd) != 0) die(path);
}

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: fuzz SEED ROUNDS FOLDER\n"), 2;
  state = strtoull(argv[1], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
  int rounds = atoi(argv[2]);
  static char folder[256], home[300], cwds[4][320], path[PATH_MAX];
  if (!realpath(argv[3], folder) || chdir(folder) != 0) die(argv[3]);
  if (mkdir("home", 0700) || mkdir("home/.aws", 0700) || mkdir("home/deep", 0700) || mkdir("plain", 0700)) die("mkdir");
  write_file("home/.aws/credentials"), write_file("plain/credentials"), write_file("plain/.env.example"), write_file("home/deep/none");
  if (symlink("../home/.aws", "plain/link") || symlink(".aws/credentials", "home/link") || symlink("loop", "home/loop") ||
      symlink("/proc/self/cwd", "home/to-proc") || symlink("../..", "home/deep/up") || symlink("/proc/1/environ", "plain/to-one") ||
      symlink(folder, "plain/abs")) die("symlink");
  snprintf(home, sizeof home, "%s/home", folder);
  snprintf(own, sizeof own, "/proc/%d/root", getpid()), snprintf(own_task, sizeof own_task, "/proc/self/task/%d/root", getpid());
  char deep[256] = "side";
  if (mkdir(deep, 0700)) die(deep);
  for (const char *c = folder; c; c = strchr(c + 1, '/')) {
    strcat(climb, "/.."), strcat(deep, "/x");
    if (mkdir(deep, 0700)) die(deep);
  }
  strcat(climb, "/.."), strcat(deep, "/x"), strcat(climb, "/proc/self/root/credentials");
  if (mkdir(deep, 0700) || symlink(deep, "trap") || mkdir("side/proc", 0700) || mkdir("side/proc/self", 0700) || mkdir("side/proc/self/root", 0700) ||
      symlink("../../../../home/.aws/credentials", "side/proc/self/root/credentials")) die("trap");
  judge_home = home;
  int top = open("/", O_PATH | O_CLOEXEC), third = open(home, O_PATH | O_DIRECTORY);
  if (third != 3 && dup2(third, 3) < 0) die("dup2");
  judge_root = top == 3 ? open("/", O_PATH | O_CLOEXEC) : top;
  snprintf(cwds[0], sizeof cwds[0], "/"), snprintf(cwds[1], sizeof cwds[0], "%s", folder), snprintf(cwds[2], sizeof cwds[0], "%s/.aws", home), snprintf(cwds[3], sizeof cwds[0], "%s/deep", home);
  struct stat secret, plain, seen;
  if (stat("home/.aws/credentials", &secret) || stat("plain/credentials", &plain)) die("stat");
  const struct syscall_rule *rule = NULL;
  for (size_t i = 0; i < RULE_COUNT; i++)
    if (!strcmp(RULES[i].name, "openat")) rule = &RULES[i];
  int hits = 0, misses = 0;
  for (int i = 0; i < rounds; i++) {
    const char *cwd = cwds[roll(4)];
    if (chdir(cwd) != 0) die(cwd);
    random_path(path, folder);
    struct seccomp_notif call = {.pid = (uint32_t)getpid(), .data = {.nr = rule->nr}};
    int dirfd = roll(4) ? AT_FDCWD : 3;
    call.data.args[0] = (uint64_t)dirfd, call.data.args[1] = (uint64_t)(uintptr_t)path;
    struct answer answer = judge(&call, rule);
    int fd = openat(dirfd, path, O_PATH | O_CLOEXEC);
    bool there = fd >= 0 && fstat(fd, &seen) == 0;
    if (there && seen.st_ino == secret.st_ino && seen.st_dev == secret.st_dev) {
      hits++;
      if (answer.error != EACCES) broken("every way to the secret is denied", path, cwd);
    } else if (there && seen.st_ino == plain.st_ino && seen.st_dev == plain.st_dev) {
      misses++;
      if (answer.error != 0) broken("what is no credential is let pass", path, cwd);
    }
    if (fd >= 0) close(fd);
    if (answer.count == COUNT_DENIED && (answer.path_class < 0 || answer.path_class >= CLASS_COUNT)) broken("a denial has a class", path, cwd);
    if (*path == '/') {
      char once[PATH_MAX], twice[PATH_MAX];
      strcpy(once, path), normalise(once), strcpy(twice, once), normalise(twice);
      if (strcmp(once, twice) || strstr(once, "//") || strstr(once, "/./") || (strlen(once) > 2 && !strcmp(once + strlen(once) - 3, "/.."))) broken("normalising settles at once", path, cwd);
    }
  }
  if (hits < rounds / 20 || misses < rounds / 100) broken("the paths reach something", "too few of them did", "-");
  printf("%d paths: %d led to the secret, %d to a plain file\n", rounds, hits, misses);
  return 0;
}
