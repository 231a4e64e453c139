#include "helper.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#if defined __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "no filter for this machine"
#endif
#define X32_BIT 0x40000000u
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define BLOCK(n) {__NR_##n, #n, KIND_BLOCKED, -1, -1, false}
#define AT(n, looks) {__NR_##n, #n, KIND_PATH, 0, 1, looks}
#define PLAIN(n, looks) {__NR_##n, #n, KIND_PATH, -1, 0, looks}
const struct syscall_rule RULES[] = {
#ifdef __NR_open
    PLAIN(open, false), PLAIN(creat, false), PLAIN(readlink, true), PLAIN(stat, true), PLAIN(lstat, true), PLAIN(access, true),
    BLOCK(modify_ldt), BLOCK(uselib), BLOCK(iopl), BLOCK(ioperm), BLOCK(mknod),
#endif
    AT(openat, false), AT(openat2, false), AT(newfstatat, true), AT(statx, true), AT(readlinkat, true),
    AT(faccessat, true), {439, "faccessat2", KIND_PATH, 0, 1, true}, PLAIN(execve, false), AT(execveat, false),
    /* A second way to files that no filter of system calls sees (threat B26). */
    BLOCK(io_uring_setup), BLOCK(io_uring_enter), BLOCK(io_uring_register), BLOCK(open_by_handle_at), BLOCK(name_to_handle_at),
    BLOCK(ptrace), BLOCK(process_vm_readv), BLOCK(process_vm_writev), {438, "pidfd_getfd", KIND_BLOCKED, -1, -1, false},
    BLOCK(kcmp), BLOCK(add_key), BLOCK(request_key), BLOCK(keyctl), BLOCK(unshare), BLOCK(setns), BLOCK(mount), BLOCK(umount2),
    BLOCK(pivot_root), BLOCK(chroot), BLOCK(fsopen), BLOCK(fsconfig), BLOCK(fsmount), BLOCK(fspick), BLOCK(move_mount), BLOCK(open_tree),
    {442, "mount_setattr", KIND_BLOCKED, -1, -1, false}, {467, "open_tree_attr", KIND_BLOCKED, -1, -1, false}, {443, "quotactl_fd", KIND_BLOCKED, -1, -1, false}, BLOCK(bpf), BLOCK(perf_event_open), BLOCK(userfaultfd),
    BLOCK(fanotify_init), BLOCK(kexec_load), BLOCK(kexec_file_load), BLOCK(init_module), BLOCK(finit_module), BLOCK(delete_module),
    BLOCK(syslog), BLOCK(quotactl), BLOCK(swapon), BLOCK(swapoff), BLOCK(reboot), BLOCK(acct), BLOCK(settimeofday),
    BLOCK(clock_settime), BLOCK(adjtimex), BLOCK(clock_adjtime), BLOCK(sethostname), BLOCK(setdomainname), BLOCK(vhangup),
    /* These only with some arguments: see install_filter. */
    BLOCK(clone), BLOCK(ioctl), BLOCK(socket), BLOCK(seccomp), BLOCK(personality), BLOCK(mknodat),
};
const size_t RULE_COUNT = sizeof RULES / sizeof *RULES;

static struct sock_filter program[512];
static unsigned short length;

static void emit(uint16_t code, uint8_t if_true, uint8_t if_false, uint32_t k) {
  program[length++] = (struct sock_filter){code, if_true, if_false, k};
}
static void load(size_t offset) { emit(BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset); }
/* The low half: the kernel itself compares ioctl commands and socket families as 32 bits (threat B38). */
static void load_arg(int index) { load(offsetof(struct seccomp_data, args) + 8 * (size_t)index); }
static void give(uint32_t action) { emit(BPF_RET | BPF_K, 0, 0, action); }
static void give_if_equal(uint32_t k, uint32_t action) {
  emit(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, k);
  give(action);
}
static void give_if_any_bit(uint32_t k, uint32_t action) {
  emit(BPF_JMP | BPF_JSET | BPF_K, 0, 1, k);
  give(action);
}

/* Body of one rule; the number matched. Ends with an answer. */
static void judge_arguments(int nr, uint32_t no) {
  switch (nr) {
    case __NR_clone:
      load_arg(0);
      give_if_any_bit(0x7e020000u /* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */, no);
      give(SECCOMP_RET_ALLOW);
      return;
    case __NR_ioctl:
      load_arg(1);
      give_if_equal(TIOCSTI, no);
      give_if_equal(0x541c /* TIOCLINUX */, no);
      give(SECCOMP_RET_ALLOW);
      return;
    case __NR_socket: {
      const uint32_t families[] = {AF_UNIX, AF_INET, AF_INET6};
      load_arg(0);
      emit(BPF_JMP | BPF_JEQ | BPF_K, 0, 4, AF_NETLINK);
      load_arg(2);
      give_if_equal(0 /* NETLINK_ROUTE: getaddrinfo asks it */, SECCOMP_RET_ALLOW);
      give(no);
      load_arg(1);
      emit(BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xf);
      give_if_equal(SOCK_RAW, no);
      load_arg(0);
      for (size_t i = 0; i < 3; i++) give_if_equal(families[i], SECCOMP_RET_ALLOW);
      give(no);
      return;
    }
    case __NR_seccomp: /* a second listener would answer in our place (threat B29) */
      load_arg(1);
      give_if_any_bit(SECCOMP_FILTER_FLAG_NEW_LISTENER, no);
      give(SECCOMP_RET_ALLOW);
      return;
    case __NR_personality:
      load_arg(0);
      give_if_equal(0, SECCOMP_RET_ALLOW);
      give_if_equal(0xffffffffu, SECCOMP_RET_ALLOW);
      give(no);
      return;
#ifdef __NR_mknod
    case __NR_mknod:
#endif
    case __NR_mknodat:
      load_arg(nr == __NR_mknodat ? 2 : 1);
      emit(BPF_ALU | BPF_AND | BPF_K, 0, 0, S_IFMT);
      give_if_equal(S_IFCHR, no);
      give_if_equal(S_IFBLK, no);
      give(SECCOMP_RET_ALLOW);
      return;
    default: give(no);
  }
}

int install_filter(bool count) {
  const uint32_t no = count ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ERRNO | EPERM;
  length = 0;
  load(offsetof(struct seccomp_data, arch));
  emit(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ARCH);
  give(SECCOMP_RET_KILL_PROCESS); /* int 0x80 and its like have other numbers (threat B27) */
  load(offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
  emit(BPF_JMP | BPF_JGE | BPF_K, 0, 1, X32_BIT);
  give(SECCOMP_RET_KILL_PROCESS);
#endif
  /* Its flags are in memory, where no filter sees them: programs fall back to clone. */
  give_if_equal(435 /* clone3 */, SECCOMP_RET_ERRNO | ENOSYS);
  for (size_t i = 0; i < RULE_COUNT; i++) {
    if (RULES[i].kind == KIND_PATH && !count) continue;
    unsigned short at = length;
    emit(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, (uint32_t)RULES[i].nr);
    judge_arguments(RULES[i].nr, no);
    program[at].jf = (uint8_t)(length - at - 1);
  }
  give(SECCOMP_RET_ALLOW);
  struct sock_fprog whole = {length, program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) die("no_new_privs");
  unsigned long flags = count ? SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV : 0;
  long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &whole);
  if (fd < 0) die("the seccomp filter cannot be installed");
  return count ? (int)fd : -1;
}
