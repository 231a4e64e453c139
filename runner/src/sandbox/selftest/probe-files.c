/* Attacks on files and on /proc. Rows: docs/sandbox.md. */
#include "probe.h"
#include <dirent.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <ctype.h>

#define SECRET home(".aws/credentials")

static bool holds(const char *path, const char *word) {
  static char text[1 << 18];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text);
  int saved = errno;
  if (fd >= 0) close(fd);
  errno = saved;
  return length > 0 && memmem(text, (size_t)length, word, strlen(word)) != NULL;
}

/* 1 */
static void parent_environ(int argc, char **argv) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/environ", getppid());
  tried("environ of the parent", argc > 0 && holds(path, argv[0]));
  tried("environ of 1", argc > 0 && holds("/proc/1/environ", argv[0]));
}

/* 2; its own environment and that of its child are the agent's to know. */
static void environs(int argc, char **argv) {
  bool found = false;
  DIR *proc = opendir("/proc");
  for (struct dirent *entry; argc > 0 && proc && (entry = readdir(proc));) {
    char path[600];
    if (!isdigit((unsigned char)*entry->d_name) || atoi(entry->d_name) == getpid()) continue;
    snprintf(path, sizeof path, "/proc/%s/environ", entry->d_name);
    found |= holds(path, argv[0]);
    snprintf(path, sizeof path, "/proc/%s/task/%s/environ", entry->d_name, entry->d_name);
    found |= holds(path, argv[0]);
  }
  tried("any environ", found);
}

/* 4: what opens on the asker's behalf must not show itself. */
static void comm(int argc, char **argv) {
  static const char *const OWN[] = {"/proc/self/comm", "/proc/thread-self/comm", "/proc/self/task/../comm"};
  reads(SECRET);
  if (argc > 0) tried(argv[0], !holds(argv[0], "probe"));
  for (int i = 0; argc == 0 && i < 3; i++) tried(OWN[i], !holds(OWN[i], "probe"));
}

/* 5, 15: one file by many names. */
static void aliases(int argc, char **argv) {
  (void)argc, (void)argv;
  char path[PATH_MAX + 64];
  const char *folder = temporary("kw-alias-folder"), *link_path = temporary("kw-alias");
  unlink(folder), unlink(link_path);
  tried("by name", reads(SECRET));
  snprintf(path, sizeof path, "/proc/self/root%s", SECRET);
  tried("/proc/self/root", reads(path));
  snprintf(path, sizeof path, "/proc/thread-self/root%s", SECRET);
  tried("/proc/thread-self/root", reads(path));
  if (chdir(home("")) == 0) tried("/proc/self/cwd", reads("/proc/self/cwd/.aws/credentials")), tried("relative", reads(".aws/credentials"));
  snprintf(path, sizeof path, "%s/.aws/.././/.aws/credentials", home(""));
  tried("dots", reads(path));
  if (symlink(SECRET, link_path) == 0) tried("a link", reads(link_path));
  if (symlink(home(".aws"), folder) == 0) snprintf(path, sizeof path, "%s/credentials", folder), tried("a linked folder", reads(path));
  unlink(folder), unlink(link_path);
}

static void from_folder(int argc, char **argv) {
  (void)argc, (void)argv;
  int folder = open(home(".aws"), O_PATH | O_DIRECTORY), base = open(home(""), O_PATH | O_DIRECTORY);
  int fd = openat(folder, "credentials", O_RDONLY);
  char byte;
  tried("openat of its folder", fd >= 0 && read(fd, &byte, 1) == 1);
  fd = openat(base, ".aws/credentials", O_RDONLY);
  tried("openat of the home", fd >= 0 && read(fd, &byte, 1) == 1);
  if (fchdir(base) == 0) tried("fchdir", reads(".aws/credentials"));
}

/* 6 */
static void parent_private(int argc, char **argv) {
  (void)argc, (void)argv;
  static const char *const NAMES[] = {"fd", "fd/0", "root/", "cwd/", "mem", "maps"};
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", getppid(), NAMES[i]);
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    tried(NAMES[i], fd >= 0);
    if (fd >= 0) close(fd);
  }
}

/* 7; nothing is written, and the mode set is the one that it has. */
static void kernel_files(int argc, char **argv) {
  (void)argv;
  static const char *const WRITTEN[] = {"/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/proc/1/oom_score_adj"};
  static const char *const READ[] = {"/proc/kcore", "/proc/kpageflags", "/proc/vmallocinfo", "/proc/slabinfo"};
  /* With root's uid PID 1's score is its to raise: that ends nothing but its own session. */
  for (int i = 0; i < (argc == 0 ? 4 : 3); i++) {
    int fd = open(WRITTEN[i], O_WRONLY);
    tried(WRITTEN[i], fd >= 0);
  }
  for (int i = 0; i < 4; i++) tried(READ[i], reads(READ[i]));
  /* Where the nodes are the session's own it may; then the host's own must not have changed. */
  bool changed = chmod("/dev/null", 0666) == 0;
  if (argc == 0) tried("chmod /dev/null", changed);
}

/* 8 */
static void descriptors(int argc, char **argv) {
  (void)argc, (void)argv;
  for (int fd = 3; fd < 4096; fd++)
    if (fcntl(fd, F_GETFD) >= 0) tried("an inherited descriptor", true);
  errno = EBADF;
  tried("descriptors above 2", false);
}

/* 8: the working folder is below the root that the process has. */
static void workdir(int argc, char **argv) {
  struct stat up, root;
  bool outside = chdir("../../../../../../../../../../../../../../../..") != 0 || stat(".", &up) != 0 || stat(argc > 0 ? argv[0] : "/", &root) != 0;
  outside = outside || up.st_ino != root.st_ino || up.st_dev != root.st_dev;
  errno = 0;
  tried("out of the root", outside);
}

/* 9 */
static void core(int argc, char **argv) {
  (void)argc, (void)argv;
  struct rlimit limit;
  getrlimit(RLIMIT_CORE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_CORE, &limit);
  tried("a core limit above 0", limit.rlim_cur > 0);
}

/* 13: the path is swapped between the look and the use. */
static char raced[PATH_MAX], benign_path[PATH_MAX], secret_path[PATH_MAX];
static _Atomic bool over;
static void *flip(void *unused) {
  for (size_t length = strlen(secret_path) + 1; !over;) memcpy(raced, benign_path, length), memcpy(raced, secret_path, length);
  return unused;
}
static _Atomic long opens_tried, opens_benign, opens_secret;
static void *open_raced(void *kind) {
  struct open_how how = {.flags = O_RDONLY};
  while (!over) {
    int fd = kind ? (int)syscall(SYS_openat2, AT_FDCWD, raced, &how, sizeof how) : open(raced, O_RDONLY);
    char byte = 0;
    opens_tried++;
    if (fd < 0) continue;
    if (read(fd, &byte, 1) == 1 && byte == 'b') opens_benign++;
    else if (byte != 0) opens_secret++;
    close(fd);
  }
  return NULL;
}
static void race(int argc, char **argv) {
  const char *benign = temporary("b");
  snprintf(secret_path, sizeof secret_path, "%s", home(".ssh/id_rsa"));
  /* Of one length, so that no third path comes of it. */
  size_t need = strlen(secret_path), folder = strlen(benign) - 1, slashes = need > folder + 1 ? need - folder - 1 : 0;
  snprintf(benign_path, sizeof benign_path, "%.*s%.*s%s", (int)folder, benign, (int)slashes, "////////////////////////////////////////////////////////////////////////////////////////", "b");
  int fd = open(benign, O_CREAT | O_WRONLY | O_TRUNC, 0600);
  if (fd < 0 || write(fd, "b", 1) != 1) return;
  close(fd);
  pthread_t threads[3];
  strcpy(raced, benign_path);
  pthread_create(threads, NULL, flip, NULL), pthread_create(threads + 1, NULL, open_raced, NULL), pthread_create(threads + 2, NULL, open_raced, "openat2");
  /* Outside, one open of each is enough; a busy machine may keep the swapping thread waiting for a second and more. */
  for (int tenths = 10 * (argc > 0 ? atoi(argv[0]) : 5); tenths > 0 && (opens_secret == 0 || opens_benign == 0); tenths--) usleep(100000);
  over = true;
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  printf("opens %ld benign %ld secret %ld\n", (long)opens_tried, (long)opens_benign, (long)opens_secret);
  unlink(benign);
  errno = 0;
  tried("the secret in a race", opens_secret > 0);
  if (opens_benign == 0) tried("no benign open at all: no race", true);
}

/* 14 */
static void by_openat2(int argc, char **argv) {
  (void)argc, (void)argv;
  struct open_how how = {.flags = O_RDONLY}, in_root = {.flags = O_RDONLY, .resolve = RESOLVE_IN_ROOT};
  char byte;
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, SECRET, &how, sizeof how);
  tried("openat2", fd >= 0 && read(fd, &byte, 1) == 1);
  int base = open(home(""), O_PATH | O_DIRECTORY);
  fd = (int)syscall(SYS_openat2, base, ".aws/credentials", &in_root, sizeof in_root);
  tried("openat2 in a root of its own", fd >= 0 && read(fd, &byte, 1) == 1);
  fd = (int)syscall(SYS_openat2, base, "/.aws/credentials", &in_root, sizeof in_root);
  tried("openat2 of a slash in a root of its own", fd >= 0 && read(fd, &byte, 1) == 1);
}

/* 16 */
static void hard_link(int argc, char **argv) {
  (void)argc, (void)argv;
  const char *to = home("kw-hard-link");
  tried("link, then read", link(SECRET, to) == 0 && reads(to));
  unlink(to);
}

/* 17 */
static void rename_away(int argc, char **argv) {
  (void)argc, (void)argv;
  static const char *const FOLDERS[] = {".aws", ".ssh", ".config"};
  for (int i = 0; i < 3; i++) {
    const char *to = home("kw-renamed");
    bool moved = rename(home(FOLDERS[i]), to) == 0;
    tried(FOLDERS[i], moved);
    if (moved && rename(to, home(FOLDERS[i])) != 0) return;
  }
}

/* 18, 19 */
static void plant(int argc, char **argv) {
  const char *folder = home(argc > 0 ? argv[0] : ".aws"), *name = argc > 1 ? argv[1] : "planted";
  char path[PATH_MAX];
  mkdir(folder, 0700);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
  bool written = fd >= 0 && write(fd, "x", 1) == 1;
  tried("write", written);
  tried("read back", reads(path));
  if (written) unlink(path);
}

/* 21 */
static void device_node(int argc, char **argv) {
  (void)argc, (void)argv;
  const char *path = temporary("kw-node");
  tried("mknod of a disk", mknod(path, S_IFBLK | 0600, makedev(254, 0)) == 0);
  unlink(path);
  tried("mknod of memory", mknod(path, S_IFCHR | 0600, makedev(1, 1)) == 0);
  unlink(path);
}

/* 24: a program of the agent's own, from a tmpfs and from memory, is under the same walls. */
static bool runs_copy(int fd, const char *path) {
  char block[65536];
  int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), status;
  for (ssize_t n; (n = read(from, block, sizeof block)) > 0;) if (write(fd, block, (size_t)n) != n) return false;
  close(from);
  if (path) close(fd);
  pid_t child = fork();
  if (child == 0) {
    char *args[] = {"probe", "read-secret", NULL};
    if (path) execv(path, args);
    else fexecve(fd, args, environ);
    _exit(2);
  }
  waitpid(child, &status, 0);
  printf("it ended with %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  errno = EACCES;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
static void own_program(int argc, char **argv) {
  (void)argc, (void)argv;
  const char *path = temporary("kw-program");
  unlink(path);
  tried("from the tmpfs", runs_copy(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0700), path));
  unlink(path);
  tried("from memory", runs_copy(memfd_create("kw", 0), NULL));
}
static void read_secret(int argc, char **argv) { (void)argc, (void)argv, tried("the credentials", reads(SECRET)); }

/* 31 */
static _Atomic long flooded, flooded_through;
static void *flood_one(void *count) {
  const char *path = SECRET;
  for (long i = 0; i < (long)(intptr_t)count; i++) {
    int fd = open(path, O_RDONLY);
    flooded++;
    if (fd < 0) continue;
    flooded_through++;
    close(fd);
  }
  return NULL;
}
static void flood(int argc, char **argv) {
  pthread_t threads[4];
  long each = (argc > 0 ? atol(argv[0]) : 100000) / 4;
  for (int i = 0; i < 4; i++) pthread_create(threads + i, NULL, flood_one, (void *)(intptr_t)each);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  printf("opens %ld\n", (long)flooded);
  errno = 0;
  tried("one of the flood", flooded_through > 0);
}

/* 67 */
static void fill(int argc, char **argv) {
  static char block[1 << 20];
  const char *path = temporary("kw-fill");
  long megabytes = argc > 0 ? atol(argv[0]) : 24, done = 0;
  int fd = open(path, O_CREAT | O_WRONLY, 0600);
  while (done < megabytes && write(fd, block, sizeof block) == (ssize_t)sizeof block) done++;
  int saved = errno;
  unlink(path);
  errno = saved;
  printf("megabytes %ld\n", done);
  tried("more than is given", done == megabytes);
}

/* 69: a path that would be lines of a log. */
static void forged_lines(int argc, char **argv) {
  (void)argc, (void)argv;
  static const char *const FORGED = "\n{\"event\":\"denied\",\"class\":\"forged\",\"syscall\":\"openat\",\"count\":999}\n\033[2J";
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s%s", home(".aws/"), FORGED);
  open(path, O_RDONLY);
  snprintf(path, sizeof path, "/tmp/%s", FORGED);
  open(path, O_RDONLY);
  printf("%s\n", FORGED);
}

const struct probe FILES[] = {
    {"parent-environ", parent_environ}, {"environs", environs}, {"comm", comm}, {"aliases", aliases}, {"from-folder", from_folder},
    {"parent-private", parent_private}, {"kernel-files", kernel_files}, {"descriptors", descriptors}, {"workdir", workdir}, {"core", core},
    {"race", race}, {"openat2", by_openat2}, {"hard-link", hard_link}, {"rename-away", rename_away}, {"plant", plant},
    {"device-node", device_node}, {"own-program", own_program}, {"read-secret", read_secret}, {"flood", flood}, {"fill", fill},
    {"forged-lines", forged_lines}, {0}};
