/* Attacks over sockets, and the other ends that the controls need. Rows: docs/sandbox.md. */
#include "probe.h"
#include <arpa/inet.h>
#include <ftw.h>
#include <glob.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <poll.h>

/* 33 */
static void try_socket(const char *path) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof to.sun_path) return;
  strcpy(to.sun_path, path);
  int kinds[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
  for (int i = 0; i < 3; i++) {
    int fd = socket(AF_UNIX, kinds[i], 0);
    bool there = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    /* The way to the edge is offered, and leads nowhere else. */
    if (there && strlen(path) > 7 && !strcmp(path + strlen(path) - 7, "/egress")) printf("%s is the way out\n", path);
    else tried(path, there);
    close(fd);
  }
}
static int looked_at;
static int each_file(const char *path, const struct stat *seen, int kind, struct FTW *at) {
  (void)kind, (void)at;
  looked_at++;
  if (seen && S_ISSOCK(seen->st_mode)) try_socket(path);
  return !strncmp(path, "/proc", 6) || !strncmp(path, "/sys", 5) || !strncmp(path, "/usr", 5) ? FTW_SKIP_SUBTREE : FTW_CONTINUE;
}
static void sockets(int argc, char **argv) {
  nftw(argc > 0 ? argv[0] : "/", each_file, 32, FTW_PHYS | FTW_ACTIONRETVAL);
  printf("looked at %d\n", looked_at);
}

/* 34, 36 */
static socklen_t abstract_address(struct sockaddr_un *to, const char *name) {
  memset(to, 0, sizeof *to);
  to->sun_family = AF_UNIX;
  strncpy(to->sun_path + 1, name, sizeof to->sun_path - 2);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}
static void abstract_stream(int argc, char **argv) {
  struct sockaddr_un to;
  socklen_t length = abstract_address(&to, argc > 0 ? argv[0] : "containerd-shim");
  tried("connect to an abstract socket", connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&to, length) == 0);
}
static void abstract_datagram(int argc, char **argv) {
  struct sockaddr_un to;
  socklen_t length = abstract_address(&to, argc > 0 ? argv[0] : "kw");
  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  struct iovec word = {"hello", 5};
  struct mmsghdr message = {.msg_hdr = {.msg_name = &to, .msg_namelen = length, .msg_iov = &word, .msg_iovlen = 1}};
  tried("sendto", sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, length) == 5);
  tried("sendmsg", sendmsg(fd, &message.msg_hdr, 0) == 5);
  tried("sendmmsg", sendmmsg(fd, &message, 1, 0) == 1);
}
static void serve_datagrams(int argc, char **argv) {
  struct sockaddr_un at;
  char word[64];
  socklen_t length = abstract_address(&at, argc > 0 ? argv[0] : "kw");
  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (bind(fd, (struct sockaddr *)&at, length) != 0) return;
  printf("here\n");
  fflush(stdout);
  while (recv(fd, word, sizeof word, 0) >= 0) printf("got one\n"), fflush(stdout);
}

/* 35 */
static void buses(int argc, char **argv) {
  char user[64];
  snprintf(user, sizeof user, "/run/user/%d/bus", getuid());
  const char *const usual[] = {"/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket", user};
  for (int i = 0; i < 3; i++) try_socket(usual[i]);
  for (int i = 0; i < argc; i++) try_socket(argv[i]);
  tried("DBUS_SESSION_BUS_ADDRESS", getenv("DBUS_SESSION_BUS_ADDRESS") != NULL);
}

/* 37 */
static void take_descriptor(int argc, char **argv) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  glob_t found;
  /* The way out has the session's id in its path. */
  if (glob(argc > 0 ? argv[0] : "/run/keywarden/*/egress", 0, NULL, &found) != 0) { errno = EACCES; tried("connect", false); return; }
  snprintf(to.sun_path, sizeof to.sun_path, "%s", found.gl_pathv[0]);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) { tried("connect", false); return; }
  static const char ASK[] = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  /* The other end may have given and gone. */
  send(fd, ASK, sizeof ASK - 1, MSG_NOSIGNAL);
  bool passed = false;
  for (;;) {
    char text[4096], room[CMSG_SPACE(16 * sizeof(int))];
    struct iovec block = {text, sizeof text};
    struct msghdr message = {.msg_iov = &block, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    ssize_t length = recvmsg(fd, &message, 0);
    for (struct cmsghdr *one = CMSG_FIRSTHDR(&message); length >= 0 && one; one = CMSG_NXTHDR(&message, one)) passed |= one->cmsg_type == SCM_RIGHTS;
    if (length <= 0) break;
    printf("bytes %zd\n", length);
  }
  errno = 0;
  tried("a descriptor from outside", passed);
}
static void serve_descriptor(int argc, char **argv) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  snprintf(at.sun_path, sizeof at.sun_path, "%s", argc > 0 ? argv[0] : "");
  int fd = socket(AF_UNIX, SOCK_STREAM, 0), null = open("/dev/null", O_RDONLY);
  if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 1) != 0) return;
  printf("here\n");
  fflush(stdout);
  int peer = accept(fd, NULL, NULL);
  char room[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec word = {"x", 1};
  struct msghdr message = {.msg_iov = &word, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
  struct cmsghdr *one = CMSG_FIRSTHDR(&message);
  one->cmsg_level = SOL_SOCKET, one->cmsg_type = SCM_RIGHTS, one->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(one), &null, sizeof null);
  sendmsg(peer, &message, 0);
}

/* 39 */
static void families(int argc, char **argv) {
  (void)argc, (void)argv;
  static const struct { const char *name; int family, type, protocol; } ALL[] = {
      {"AF_PACKET", AF_PACKET, SOCK_RAW, 0}, {"raw ICMP", AF_INET, SOCK_RAW, IPPROTO_ICMP}, {"raw ICMPv6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6},
      {"AF_VSOCK", AF_VSOCK, SOCK_STREAM, 0}, {"NETLINK_AUDIT", AF_NETLINK, SOCK_RAW, NETLINK_AUDIT}, {"NETLINK_SOCK_DIAG", AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG},
      {"NETLINK_KOBJECT_UEVENT", AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT}, {"AF_ALG", AF_ALG, SOCK_SEQPACKET, 0}, {"AF_BLUETOOTH", AF_BLUETOOTH, SOCK_RAW, 1}};
  for (size_t i = 0; i < sizeof ALL / sizeof *ALL; i++) {
    int fd = socket(ALL[i].family, ALL[i].type, ALL[i].protocol);
    tried(ALL[i].name, fd >= 0);
    if (fd >= 0) close(fd);
  }
}

/* 51, 59: pairs of address and port. */
static bool reached(const char *address, int port, int type) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  bool is6 = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;
  if (!is6 && inet_pton(AF_INET, address, &v4.sin_addr) != 1) return false;
  int fd = socket(is6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK, 0), error = 0;
  socklen_t length = sizeof error;
  char word[16];
  int answer = is6 ? connect(fd, (struct sockaddr *)&v6, sizeof v6) : connect(fd, (struct sockaddr *)&v4, sizeof v4);
  if (answer != 0 && errno != EINPROGRESS) return false;
  struct pollfd wait = {fd, type == SOCK_STREAM ? POLLOUT : POLLIN, 0};
  if (type == SOCK_DGRAM && send(fd, "canary.example", 14, 0) < 0) return false;
  if (poll(&wait, 1, 700) != 1) return errno = ETIMEDOUT, false;
  if (type == SOCK_DGRAM) return recv(fd, word, sizeof word, 0) > 0;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return (errno = error) == 0;
}
static void tcp(int argc, char **argv) { for (int i = 0; i + 1 < argc; i += 2) tried(argv[i], reached(argv[i], atoi(argv[i + 1]), SOCK_STREAM)); }
static void udp(int argc, char **argv) { for (int i = 0; i + 1 < argc; i += 2) tried(argv[i], reached(argv[i], atoi(argv[i + 1]), SOCK_DGRAM)); }
static void serve_tcp(int argc, char **argv) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(argc > 0 ? atoi(argv[0]) : 0))};
  socklen_t length = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 8) != 0 || getsockname(fd, (struct sockaddr *)&at, &length) != 0) return;
  printf("port %d\n", ntohs(at.sin_port));
  fflush(stdout);
  for (;;) close(accept(fd, NULL, NULL));
}

const struct probe CHANNELS[] = {
    {"sockets", sockets}, {"abstract-stream", abstract_stream}, {"abstract-datagram", abstract_datagram}, {"serve-datagrams", serve_datagrams},
    {"buses", buses}, {"take-descriptor", take_descriptor}, {"serve-descriptor", serve_descriptor}, {"families", families},
    {"tcp", tcp}, {"udp", udp}, {"serve-tcp", serve_tcp}, {0}};
