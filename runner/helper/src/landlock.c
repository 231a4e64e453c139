#include "helper.h"
#include <dirent.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>

/* The headers may be older than the kernel. */
#define LL_REFER (1ULL << 13)
#define LL_TRUNCATE (1ULL << 14)
#define LL_IOCTL_DEV (1ULL << 15)
#define LL_SCOPE_ABSTRACT_UNIX (1ULL << 0)
#define LL_SCOPE_SIGNAL (1ULL << 1)
struct ruleset {
  uint64_t fs, net, scoped;
};

int landlock_abi(void) {
  long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);
  return abi < 0 ? 0 : (int)abi;
}

/* Read-only by the mounts already; said again to a second mechanism that no remount undoes. */
static bool is_system(const char *name) {
  static const char *const SYSTEM[] = {"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "opt", "sys", "boot"};
  for (size_t i = 0; i < sizeof SYSTEM / sizeof *SYSTEM; i++)
    if (!strcmp(name, SYSTEM[i])) return true;
  return false;
}

bool landlock_enforce(int abi) {
  if (abi < 1) return false;
  const uint64_t read = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
  uint64_t handled = (1ULL << 13) - 1;
  if (abi >= 2) handled |= LL_REFER;
  if (abi >= 3) handled |= LL_TRUNCATE;
  if (abi >= 5) handled |= LL_IOCTL_DEV;
  struct ruleset rules = {.fs = handled, .scoped = abi >= 6 ? LL_SCOPE_ABSTRACT_UNIX | LL_SCOPE_SIGNAL : 0};
  int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, abi >= 6 ? sizeof rules : abi >= 4 ? 16 : 8, 0);
  DIR *root = opendir("/");
  if (fd < 0 || !root) return false;
  for (struct dirent *entry; (entry = readdir(root));) {
    struct stat seen;
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    int target = openat(dirfd(root), entry->d_name, O_PATH | O_CLOEXEC);
    if (target < 0 || fstat(target, &seen) != 0 || !S_ISDIR(seen.st_mode)) {
      if (target >= 0) close(target);
      continue;
    }
    /* Nobody makes a device in here (threat B21). */
    uint64_t all = handled & ~(uint64_t)(LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK);
    struct landlock_path_beneath_attr rule = {is_system(entry->d_name) ? read : all, target};
    if (syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) return false;
    close(target);
  }
  /* The root folder itself may be listed. */
  closedir(root);
  int top = open("/", O_PATH | O_CLOEXEC);
  struct landlock_path_beneath_attr list = {LANDLOCK_ACCESS_FS_READ_DIR, top};
  bool ok = syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &list, 0) == 0 &&
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_landlock_restrict_self, fd, 0) == 0;
  close(top);
  close(fd);
  return ok;
}
