/* What the agent puts on before its exec, and can never take off. */
#include "helper.h"
#include <dirent.h>
#include <linux/capability.h>
#include <linux/landlock.h>

/* The headers may be older than the kernel: what they need not know stands here by number. */

void drop_privileges(long uid, long gid) {
  /* The host user's keys must not be searched (threat B10): a session keyring of its own, with nothing in it. */
  syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL);
  for (int cap = 0; cap < 64; cap++) prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
  if (gid >= 0 && (syscall(SYS_setgroups, 0, NULL) != 0 || setresgid((gid_t)gid, (gid_t)gid, (gid_t)gid) != 0)) die("setgid");
  if (uid >= 0 && setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) != 0) die("setuid");
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
  if (syscall(SYS_capset, &header, none) != 0) die("capset");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) die("no_new_privs");
}

int landlock_abi(void) {
  long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);
  return abi < 0 ? 0 : (int)abi;
}

/* Read-only by the mounts already; said again to a second mechanism that no remount undoes. */
static const char SYSTEM[] = "/usr/bin/sbin/lib/lib32/lib64/libx32/etc/opt/sys/boot/";

bool landlock_enforce(int abi) {
  const uint64_t read = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
  /* The first ABI knows 13 rights; then came REFER (2), TRUNCATE (3) and IOCTL_DEV (5). */
  const uint64_t handled = abi >= 5 ? 0xffff : abi >= 3 ? 0x7fff : abi >= 2 ? 0x3fff : 0x1fff;
  /* Nobody makes a device in here (threat B21). */
  const uint64_t all = handled & ~(uint64_t)(LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK);
  const uint64_t rules[] = {handled, 0 /* net */, abi >= 6 ? 3 /* scoped: abstract sockets, signals */ : 0};
  int fd = (int)syscall(SYS_landlock_create_ruleset, rules, abi >= 6 ? sizeof rules : abi >= 4 ? 16 : 8, 0);
  DIR *root = opendir("/");
  if (fd < 0 || !root) return false;
  for (struct dirent *entry; (entry = readdir(root));) {
    const char *name = entry->d_name;
    char slashed[sizeof entry->d_name + 2];
    snprintf(slashed, sizeof slashed, "/%s/", name);
    int at = strcmp(name, "..") ? openat(dirfd(root), name, O_PATH | O_CLOEXEC) : -1;
    if (at < 0) continue;
    /* The root folder itself may be listed; a file, mounted there, takes no rights but EXECUTE, WRITE_FILE, READ_FILE, TRUNCATE. */
    uint64_t allowed = !strcmp(name, ".") ? LANDLOCK_ACCESS_FS_READ_DIR : strstr(SYSTEM, slashed) ? read : all;
    struct landlock_path_beneath_attr rule = {allowed, at};
    for (; syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0; rule.allowed_access &= 0x4007)
      if (!(rule.allowed_access & ~0x4007ull)) return false;
    close(at);
  }
  closedir(root);
  /* Of the host's file systems, below none of these: a terminal, and the FIFOs of masked output. A pipe and a socket need no rule. */
  for (struct landlock_path_beneath_attr own = {handled & 0xc006, 0}; own.parent_fd < 3; own.parent_fd++)
    if (lseek(own.parent_fd, 0, SEEK_CUR) < 0 && syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &own, 0) && errno != EBADFD)
      return false;
  return syscall(SYS_landlock_restrict_self, fd, 0) == 0;
}

int install_filter(bool count) {
  unsigned long flags = count ? SECCOMP_FILTER_FLAG_NEW_LISTENER | 1UL << 5 /* WAIT_KILLABLE_RECV */ : 0;
  long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, count ? &COUNTING : &SILENT);
  if (fd < 0) die("the seccomp filter cannot be installed");
  return count ? (int)fd : -1;
}
