#include "helper.h"
#include <sys/ioctl.h>
#include <sys/socket.h>

void die(const char *what) {
  fprintf(stderr, "keywarden-helper: error: %s: %s\n", what, strerror(errno));
  exit(EXIT_FAILED);
}

int send_fd(int socket, const void *data, size_t size, int fd) {
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {(void *)(uintptr_t)data, size};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

ssize_t receive_fd(int socket, void *data, size_t size, int *fd) {
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {data, size};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t length;
  do length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (length < 0 && errno == EINTR);
  *fd = -1;
  struct cmsghdr *header = length < 0 ? NULL : CMSG_FIRSTHDR(&message);
  if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int))) memcpy(fd, CMSG_DATA(header), sizeof *fd);
  return length;
}

/* What the kernel offers, without keeping any of it. */
static int probe(void) {
  struct seccomp_notif_sizes sizes;
  bool notify = syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) == 0;
  uint32_t trap = SECCOMP_RET_USER_NOTIF;
  notify = notify && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &trap) == 0;
  printf("{\"landlock\":%d,\"user_notification\":%s}\n", landlock_abi(), notify ? "true" : "false");
  return 0;
}

int main(int argc, char **argv) {
  const char *face = argc > 1 ? argv[1] : "";
  if (!strcmp(face, "init")) return init_main(argc - 1, argv + 1);
  if (!strcmp(face, "supervise")) return supervise_main(argc - 1, argv + 1);
  if (!strcmp(face, "probe")) return probe();
  if (!strcmp(face, "classes") && argc == 3) {
    char why[256];
    if (classes_load(argv[2], why, sizeof why)) return printf("%d classes\n", class_count()), 0;
    fprintf(stderr, "keywarden-helper: error: %s: %s\n", argv[2], why);
    return 1;
  }
  fprintf(stderr, "usage: keywarden-helper supervise|init|probe|classes …\n");
  return 2;
}
