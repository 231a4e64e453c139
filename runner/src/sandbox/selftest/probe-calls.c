/* Attacks by system calls. Rows: docs/sandbox.md. */
#include "probe.h"
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#define UNUSED (void)argc, (void)argv

/* 10 */
static void keyring(int argc, char **argv) {
  UNUSED;
  tried("add_key", syscall(SYS_add_key, "user", "kw-selftest", "x", 1, -2 /* process keyring */) > 0);
  tried("keyctl", syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3 /* session */, 0) > 0);
  tried("request_key", syscall(SYS_request_key, "user", "kw-selftest", NULL, 0) > 0);
}

/* 11: first of all its own child, which needs no right but to be allowed the call. */
static void trace(int argc, char **argv) {
  UNUSED;
  static char word[8] = "looked", got[8];
  pid_t child = fork();
  if (child == 0) pause(), _exit(0);
  struct iovec mine = {got, 6}, its = {word, 6};
  tried("process_vm_readv", syscall(SYS_process_vm_readv, child, &mine, 1, &its, 1, 0) == 6);
  int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
  int fd = (int)syscall(SYS_pidfd_getfd, pidfd, 0, 0);
  tried("pidfd_getfd", fd >= 0);
  tried("ptrace attach", ptrace(PTRACE_ATTACH, child, NULL, NULL) == 0);
  tried("ptrace the parent", ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) == 0);
  kill(child, SIGKILL);
}

/* 22 */
static void privileges(int argc, char **argv) {
  UNUSED;
  tried("new privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
  int bounding = 0;
  for (int cap = 0; cap < 64; cap++) bounding += prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1;
  errno = 0;
  tried("a bounding set", bounding > 0);
  tried("uid 0", setuid(0) == 0 && getuid() == 0);
}

/* 22: a file that is marked so, left in a mount, would be its owner's for every user of the host. */
static bool is_set_uid(const char *path) {
  struct stat found = {0};
  int saved = errno;
  bool marked = lstat(path, &found) == 0 && found.st_mode & S_ISUID;
  unlink(path);
  errno = saved;
  return marked;
}
static const char *plain_file(void) {
  const char *path = temporary("kw-set-uid");
  close(open(path, O_CREAT | O_WRONLY, 0600));
  errno = 0;
  return path;
}
static void set_uid(int argc, char **argv) {
  UNUSED;
  const char *path = temporary("kw-set-uid"), *folder = temporary("");
  struct open_how how = {.flags = O_CREAT | O_WRONLY, .mode = 04755};
  tried("fchmod", (syscall(SYS_fchmod, open(plain_file(), O_RDONLY), 04755), is_set_uid(path)));
  tried("fchmodat", (syscall(SYS_fchmodat, AT_FDCWD, plain_file(), 06755), is_set_uid(path)));
  tried("fchmodat2", (syscall(452, AT_FDCWD, plain_file(), 04755, 0), is_set_uid(path)));
  tried("openat", (syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY, 04755), is_set_uid(path)));
  struct stat nameless = {0};
  fstat((int)syscall(SYS_openat, AT_FDCWD, folder, O_TMPFILE | O_WRONLY, 04755), &nameless);
  tried("openat without a name", nameless.st_mode & S_ISUID);
  tried("openat2", (syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how), is_set_uid(path)));
  tried("mknodat", (syscall(SYS_mknodat, AT_FDCWD, path, S_IFREG | 04755, 0), is_set_uid(path)));
#if defined __x86_64__
  tried("chmod", (syscall(SYS_chmod, plain_file(), 04755), is_set_uid(path)));
  tried("open", (syscall(SYS_open, path, O_CREAT | O_WRONLY, 04755), is_set_uid(path)));
  tried("creat", (syscall(SYS_creat, path, 04755), is_set_uid(path)));
  tried("mknod", (syscall(SYS_mknod, path, S_IFREG | 04755, 0), is_set_uid(path)));
#endif
}

/* 23 */
static void mounts(int argc, char **argv) {
  UNUSED;
  bool apart = unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
  tried("a mount namespace", apart);
  if (apart) mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
  tried("mount", mount("none", temporary(""), "tmpfs", 0, NULL) == 0);
  /* Without a namespace of its own a success of these would be the host's. */
  tried("remount", apart ? false : mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) == 0);
  tried("fsopen", syscall(SYS_fsopen, "tmpfs", 0) >= 0);
  tried("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */) >= 0);
  tried("umount2", apart ? false : umount2("/proc", MNT_DETACH) == 0);
  tried("pivot_root", syscall(SYS_pivot_root, "/", "/") == 0);
  tried("write below /usr", apart ? false : open("/usr/kw-selftest", O_CREAT | O_WRONLY, 0600) >= 0);
}

/* 25 */
static void handles(int argc, char **argv) {
  UNUSED;
  struct { struct file_handle handle; char room[128]; } found = {.handle.handle_bytes = 128};
  int mount_id;
  bool named = name_to_handle_at(AT_FDCWD, argc > 0 ? argv[0] : "/usr", &found.handle, &mount_id, 0) == 0;
  tried("name_to_handle_at", named);
  int fd = open("/usr", O_RDONLY | O_DIRECTORY);
  tried("open_by_handle_at", open_by_handle_at(fd, &found.handle, O_PATH) >= 0);
}

/* 26 */
static void io_uring(int argc, char **argv) {
  UNUSED;
  char parameters[120] = {0};
  int ring = (int)syscall(SYS_io_uring_setup, 2, parameters);
  tried("io_uring_setup", ring >= 0);
  tried("io_uring_register", syscall(SYS_io_uring_register, ring, 8 /* PROBE */, parameters, 0) >= 0);
  tried("io_uring_enter", syscall(SYS_io_uring_enter, ring, 0, 0, 0, NULL, 0) >= 0);
}

/* 27: in a child, for a filter may kill. */
static bool survives(int kind) {
  int status;
  pid_t child = fork();
  if (child == 0) {
    long answer = -1;
#if defined __x86_64__
    if (kind == 0) __asm__ volatile("int $0x80" : "=a"(answer) : "a"(20L /* getpid */) : "memory", "r8", "r9", "r10", "r11");
    else answer = syscall(0x40000000L | SYS_getpid);
#endif
    _exit(answer > 0 ? 0 : 1);
  }
  waitpid(child, &status, 0);
  errno = WIFSIGNALED(status) ? EPERM : ENOSYS;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
static void foreign(int argc, char **argv) {
  UNUSED;
  tried("int 0x80", survives(0));
  tried("x32", survives(1));
}

/* 28 */
static bool clones(unsigned long flags) {
  long child = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
  if (child == 0) _exit(0);
  return child > 0;
}
static void namespaces(int argc, char **argv) {
  UNUSED;
  struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls; } clone3 = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
  long child = syscall(SYS_clone3, &clone3, sizeof clone3);
  if (child == 0) _exit(0);
  tried("clone3", child > 0);
  tried("clone a user namespace", clones(CLONE_NEWUSER));
  int fd = open("/proc/self/ns/user", O_RDONLY);
  tried("setns", setns(fd, CLONE_NEWNET) == 0);
  tried("unshare", unshare(CLONE_NEWUSER) == 0);
  tried("unshare the network", unshare(CLONE_NEWNET) == 0);
}

/* 29 */
static void own_filter(int argc, char **argv) {
  UNUSED;
  struct sock_filter allow_all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog whole = {1, allow_all};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &whole);
  tried("a listener of its own", listener >= 0);
  syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &whole);
  tried("a filter that allows all, then read", reads(home(".aws/credentials")));
}

/* 30 */
static void odd_calls(int argc, char **argv) {
  UNUSED;
  static char room[256];
  tried("personality", personality(ADDR_NO_RANDOMIZE) >= 0);
  tried("userfaultfd", syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */) >= 0);
  struct { uint32_t type, size; uint64_t config[14]; } counter = {1 /* software */, 120, {0}};
  tried("perf_event_open", syscall(SYS_perf_event_open, &counter, 0, -1, -1, 0) >= 0);
  struct { uint32_t type, key, value, most; char rest[64]; } map = {2, 4, 4, 1, {0}};
  tried("bpf", syscall(SYS_bpf, 0 /* MAP_CREATE */, &map, sizeof map) >= 0);
  tried("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0) == 0);
  tried("init_module", syscall(SYS_init_module, room, 0, "") == 0);
  tried("syslog", syscall(SYS_syslog, 10 /* SIZE_BUFFER */, NULL, 0) >= 0);
#ifdef SYS_modify_ldt
  tried("modify_ldt", syscall(SYS_modify_ldt, 0, room, sizeof room) >= 0);
#endif
}

/* 38: a terminal of its own, so that a success harms nobody. */
static void terminal(int argc, char **argv) {
  UNUSED;
  int master, slave, status;
  if (openpty(&master, &slave, NULL, NULL, NULL) != 0) { tried("a terminal", false); return; }
  pid_t child = fork();
  if (child == 0) {
    setsid();
    ioctl(slave, TIOCSCTTY, 0);
    bool pushed = syscall(SYS_ioctl, slave, (unsigned long)TIOCSTI, "x") == 0;
    tried("TIOCSTI", pushed);
    tried("TIOCSTI with high bits", syscall(SYS_ioctl, slave, TIOCSTI | 0xffffffff00000000UL, "x") == 0);
    tried("TIOCLINUX", syscall(SYS_ioctl, slave, (unsigned long)TIOCLINUX, "\6") == 0);
    _exit(pushed ? 0 : 1);
  }
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) tried("keys pushed into a terminal", true);
}

/* 32: not an attack itself; it only ends when it is killed. */
static void stay(int argc, char **argv) {
  UNUSED;
  signal(SIGTERM, SIG_IGN), signal(SIGINT, SIG_IGN), signal(SIGHUP, SIG_IGN);
  printf("here\n");
  fflush(stdout);
  for (;;) pause();
}

/* 32: PID 1 has the deadline. */
static void kill_parent(int argc, char **argv) {
  UNUSED;
  pid_t parent = getppid();
  kill(parent, SIGKILL), kill(parent, SIGTERM), kill(parent, SIGSTOP);
  usleep(200000);
  errno = EPERM;
  tried("killing the parent", getppid() != parent);
}

/* 62: forks until it may not, all of them deaf to SIGTERM. */
static void bomb(int argc, char **argv) {
  signal(SIGTERM, SIG_IGN);
  int most = argc > 0 ? atoi(argv[0]) : 300, made = 0;
  for (; made < most; made++) {
    pid_t child = fork();
    if (child < 0) break;
    if (child == 0) for (;;) pause();
  }
  printf("forks %d\n", made);
  tried("more processes than are given", made == most);
  if (argc > 1) kill(0, SIGKILL);
  for (;;) pause();
}

const struct probe CALLS[] = {
    {"keyring", keyring}, {"trace", trace}, {"privileges", privileges}, {"set-uid", set_uid}, {"mounts", mounts}, {"handles", handles}, {"io-uring", io_uring},
    {"foreign", foreign}, {"namespaces", namespaces}, {"own-filter", own_filter}, {"odd-calls", odd_calls}, {"terminal", terminal},
    {"stay", stay}, {"kill-parent", kill_parent}, {"bomb", bomb}, {0}};
