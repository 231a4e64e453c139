#include "helper.h"
#include <sys/un.h>

void die_with(int code, const char *what) {
  fprintf(stderr, "keywarden: error: %s: %s\n", what, strerror(errno));
  exit(code);
}

/* A packet's descriptor as cmsg(3) lays it out. */
struct passed {
  struct cmsghdr header;
  int fd;
};

bool tell(int socket, struct message message, int fd) {
  struct passed passed = {{CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS}, fd};
  struct iovec part = {&message, sizeof message};
  struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &passed, .msg_controllen = fd < 0 ? 0 : sizeof passed};
  return sendmsg(socket, &packet, MSG_NOSIGNAL) == sizeof message;
}

bool hear(int socket, struct message *message, int *fd) {
  struct passed passed = {.fd = -1};
  struct iovec part = {message, sizeof *message};
  struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &passed, .msg_controllen = sizeof passed};
  ssize_t length = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC);
  *fd = length > 0 && passed.header.cmsg_type == SCM_RIGHTS && passed.header.cmsg_len == CMSG_LEN(sizeof *fd) ? passed.fd : -1;
  return length == sizeof *message;
}

int unix_socket(const char *path, int type, bool listens) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  errno = ENAMETOOLONG;
  if (strlen(path) >= sizeof address.sun_path) return -1;
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0), failed = (listens ? bind : connect)(fd, (struct sockaddr *)&address, sizeof address);
  if (!failed && (!listens || listen(fd, 1) == 0)) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

int signals_to_read(void) {
  sigset_t watched = {0};
  sigaddset(&watched, SIGCHLD), sigaddset(&watched, SIGTERM), sigaddset(&watched, SIGINT), sigaddset(&watched, SIGHUP);
  sigprocmask(SIG_BLOCK, &watched, NULL);
  return signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Shuts a connection of another process of ours, if that descriptor of its still is the one. */
static bool hang_up(char **argv) {
  int fd = (int)syscall(SYS_pidfd_getfd, (int)syscall(SYS_pidfd_open, atoi(argv[0]), 0), atoi(argv[1]), 0);
  struct stat its;
  return fd >= 0 && fstat(fd, &its) == 0 && its.st_ino == strtoul(argv[2], NULL, 10) && shutdown(fd, SHUT_RDWR) == 0;
}

int main(int argc, char **argv) {
  const char *face = argc > 1 ? argv[1] : "";
  if (!strcmp(face, "init") && argc > 6) return init_main(argv + 2);
  if (!strcmp(face, "supervise") && argc > 4) return supervise_main(argv + 2);
  if (!strcmp(face, "offers")) return !printf("%d\n", landlock_abi()) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || install_filter(true) < 0;
  if (!strcmp(face, "hangup") && argc > 4) return !hang_up(argv + 2);
  fprintf(stderr, "usage: keywarden-helper supervise|init|offers|hangup … (see runner/helper/README.md)\n");
  return 2;
}
