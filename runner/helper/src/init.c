/* PID 1 of the sandbox: the way out, the deadline, the agent's start and end. */
#include "helper.h"
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <linux/capability.h>
#include <time.h>

extern char **environ;

struct options {
  const char *control, *egress, *cwd;
  long long deadline_ms, grace_ms;
  int port;
  long uid, gid;
  bool landlock;
  struct { int what; rlim_t most; } limits[8];
  int limit_count;
  char **command;
};

static long long number_of(const char *text) {
  char *end;
  long long value = strtoll(text, &end, 10);
  if (!*text || *end || value < 0) {
    fprintf(stderr, "keywarden-helper: error: %s is no number\n", text);
    exit(EXIT_FAILED);
  }
  return value;
}

static void add_limit(struct options *o, const char *text) {
  static const struct { const char *name; int what; } KNOWN[] = {{"nofile", RLIMIT_NOFILE}, {"fsize", RLIMIT_FSIZE}, {"nproc", RLIMIT_NPROC}, {"core", RLIMIT_CORE}, {"as", RLIMIT_AS}};
  const char *equals = strchr(text, '=');
  for (size_t i = 0; equals && i < sizeof KNOWN / sizeof *KNOWN; i++)
    if (!strncmp(KNOWN[i].name, text, (size_t)(equals - text)) && o->limit_count < 8) {
      o->limits[o->limit_count].what = KNOWN[i].what;
      o->limits[o->limit_count++].most = (rlim_t)number_of(equals + 1);
      return;
    }
  errno = EINVAL;
  die(text);
}

static struct options parse(int argc, char **argv) {
  struct options o = {.uid = -1, .gid = -1, .landlock = true, .grace_ms = 5000};
  for (int i = 1; i < argc; i++) {
    const char *name = argv[i];
    if (!strcmp(name, "--")) { o.command = argv + i + 1; break; }
    if (!strcmp(name, "--no-landlock")) { o.landlock = false; continue; }
    const char *value = ++i < argc ? argv[i] : NULL;
    if (!value) break;
    if (!strcmp(name, "--control")) o.control = value;
    else if (!strcmp(name, "--deadline")) o.deadline_ms = number_of(value);
    else if (!strcmp(name, "--grace")) o.grace_ms = number_of(value);
    else if (!strcmp(name, "--egress-socket")) o.egress = value;
    else if (!strcmp(name, "--egress-port")) o.port = (int)number_of(value);
    else if (!strcmp(name, "--uid")) o.uid = (long)number_of(value);
    else if (!strcmp(name, "--gid")) o.gid = (long)number_of(value);
    else if (!strcmp(name, "--cwd")) o.cwd = value;
    else if (!strcmp(name, "--rlimit")) add_limit(&o, value);
    else { errno = EINVAL; die(name); }
  }
  if (!o.control || !o.command || !*o.command || !o.deadline_ms) { errno = EINVAL; die("init: --control, --deadline and a command are needed"); }
  return o;
}

/* --- the way out: 127.0.0.1:PORT to the socket, both ways, in a thread that the agent cannot signal --- */
#define MAX_WAYS 128
struct way { int from, to; size_t start, end; char data[16384]; bool shut; };
struct pair { struct way up, down; };
static const char *egress_path;

static int dial(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (strlen(egress_path) >= sizeof address.sun_path) { close(fd); return -1; }
  strcpy(address.sun_path, egress_path);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
  }
  close(fd);
  return -1;
}

/* Moves what can be moved without waiting; false when this way has ended for good. */
static bool move(struct way *w) {
  for (int turn = 0; turn < 8; turn++) {
    if (w->start == w->end && !w->shut) {
      ssize_t got = read(w->from, w->data, sizeof w->data);
      if (got < 0) return errno == EAGAIN || errno == EINTR;
      if (got == 0) { shutdown(w->to, SHUT_WR); w->shut = true; return true; }
      w->start = 0, w->end = (size_t)got;
    }
    if (w->start == w->end) return true;
    ssize_t put = send(w->to, w->data + w->start, w->end - w->start, MSG_NOSIGNAL);
    if (put < 0) return errno == EAGAIN || errno == EINTR;
    w->start += (size_t)put;
  }
  return true;
}

static void *forward(void *listener) {
  static struct pair *pairs[MAX_WAYS];
  int door = (int)(intptr_t)listener;
  for (;;) {
    struct pollfd polled[1 + 2 * MAX_WAYS];
    int slot[2 * MAX_WAYS], count = 0, free_slot = -1;
    for (int i = 0; i < MAX_WAYS; i++) {
      if (!pairs[i]) { free_slot = i; continue; }
      struct way *up = &pairs[i]->up, *down = &pairs[i]->down;
      short client = (short)((up->start == up->end && !up->shut ? POLLIN : 0) | (down->start < down->end ? POLLOUT : 0));
      short edge = (short)((down->start == down->end && !down->shut ? POLLIN : 0) | (up->start < up->end ? POLLOUT : 0));
      slot[count] = i, polled[1 + count++] = (struct pollfd){client ? up->from : -1, client, 0};
      slot[count] = i, polled[1 + count++] = (struct pollfd){edge ? up->to : -1, edge, 0};
    }
    polled[0] = (struct pollfd){free_slot < 0 ? -1 : door, POLLIN, 0};
    if (poll(polled, (nfds_t)(1 + count), -1) < 0) continue;
    for (int k = 0; k < count; k++) {
      struct pair *p = pairs[slot[k]];
      if (!p || !polled[1 + k].revents) continue;
      bool lives = move(&p->up) && move(&p->down) && !(p->up.shut && p->down.shut);
      if (lives) continue;
      close(p->up.from), close(p->up.to), free(p);
      pairs[slot[k]] = NULL;
    }
    if (!(polled[0].revents & POLLIN)) continue;
    int client = accept4(door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) continue;
    int edge = dial();
    struct pair *p = edge < 0 ? NULL : calloc(1, sizeof *p);
    if (!p) { close(client); if (edge >= 0) close(edge); continue; }
    p->up.from = p->down.to = client, p->up.to = p->down.from = edge;
    pairs[free_slot] = p;
  }
  return NULL;
}

static int open_door(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0) die("the way to the edge cannot be opened");
  return fd;
}

/* --- the agent --- */
static _Noreturn void become_agent(const struct options *o, char **agent_env, int control, bool count, int report) {
  char byte[2] = {0};
  int none;
  sigset_t nothing;
  sigemptyset(&nothing);
  sigprocmask(SIG_SETMASK, &nothing, NULL);
  for (int s = 1; s < 32; s++) signal(s, SIG_DFL);
  setsid();
  if (isatty(0)) ioctl(0, TIOCSCTTY, 0);
  /* The host user's keys must not be searched (threat B10): a session keyring of its own, with nothing in it. */
  syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL);
  for (int cap = 0; cap < 64; cap++) prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
  if (o->gid >= 0 && (syscall(SYS_setgroups, 0, NULL) != 0 || setresgid((gid_t)o->gid, (gid_t)o->gid, (gid_t)o->gid) != 0)) die("setgid");
  if (o->uid >= 0 && setresuid((uid_t)o->uid, (uid_t)o->uid, (uid_t)o->uid) != 0) die("setuid");
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct caps[2] = {{0, 0, 0}, {0, 0, 0}};
  if (syscall(SYS_capset, &header, caps) != 0) die("capset");
  for (int i = 0; i < o->limit_count; i++) {
    struct rlimit limit = {o->limits[i].most, o->limits[i].most};
    if (setrlimit((__rlimit_resource_t)o->limits[i].what, &limit) != 0) die("setrlimit");
  }
  if (o->cwd && chdir(o->cwd) != 0) die(o->cwd);
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  int abi = landlock_abi();
  if (o->landlock && !landlock_enforce(abi)) die("Landlock cannot be enforced (a kernel >= 5.13 with lsm=landlock; or --no-landlock)");
  int listener = install_filter(count);
  if (count) {
    char message[2] = {MSG_LISTEN, (char)abi};
    if (send_fd(control, message, sizeof message, listener) != 0 || receive_fd(control, byte, sizeof byte, &none) < 1 || byte[0] != MSG_ACK) die("nobody answers for the filter");
  }
  dup3(report, 3, O_CLOEXEC);
  syscall(SYS_close_range, 4, ~0u, 0);
  execvpe(o->command[0], o->command, agent_env);
  unsigned char why = errno == ENOENT || errno == ENOTDIR ? 127 : 126;
  if (write(3, &why, 1) != 1) _exit(EXIT_FAILED);
  _exit(why);
}

static void arm(int timer, long long ms) {
  struct itimerspec spec = {.it_value = {ms / 1000, (ms % 1000) * 1000000 + 1}};
  timerfd_settime(timer, 0, &spec, NULL);
}

static char **receive_env(int control, bool *count) {
  static char whole[1 << 20];
  char part[PACKET];
  size_t size = 0, n = 1;
  int none;
  for (;;) {
    ssize_t got = receive_fd(control, part, sizeof part, &none);
    if (got < 1) die("the environment did not come");
    if (part[0] == MSG_GO) { *count = part[1] != 0; break; }
    if (part[0] != MSG_ENV || size + (size_t)got > sizeof whole) die("the environment is too large");
    memcpy(whole + size, part + 1, (size_t)got - 1);
    size += (size_t)got - 1;
  }
  for (size_t i = 0; i < size; i++) n += whole[i] == 0;
  char **list = calloc(n + 1, sizeof *list);
  size_t k = 0;
  for (char *c = whole; list && c < whole + size && k < n; c += strlen(c) + 1) list[k++] = c;
  explicit_bzero(part, sizeof part);
  return list;
}

int init_main(int argc, char **argv) {
  struct options o = parse(argc, argv);
  bool count = false;
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(o.control) >= sizeof address.sun_path) { errno = ENAMETOOLONG; die("--control"); }
  strcpy(address.sun_path, o.control);
  int control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (connect(control, (struct sockaddr *)&address, sizeof address) != 0) die("supervise cannot be reached");
  int top = open("/", O_PATH | O_CLOEXEC);
  char hello = MSG_HELLO;
  if (send_fd(control, &hello, 1, top) != 0) die("hello");
  close(top);
  char **agent_env = receive_env(control, &count);
  static char *search[2];
  for (char **e = agent_env; *e; e++)
    if (!strncmp(*e, "PATH=", 5)) search[0] = *e, environ = search; /* execvpe searches by our own */

  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  long long left = o.deadline_ms - ((long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
  /* Counts while the host sleeps, and no step of the wall clock moves it (threat B63). */
  int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
  arm(timer, left > 0 ? left : 1);
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD), sigaddset(&watched, SIGTERM), sigaddset(&watched, SIGINT), sigaddset(&watched, SIGHUP);
  sigprocmask(SIG_BLOCK, &watched, NULL);
  int signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK), report[2];
  int door = o.egress ? open_door(o.port) : -1;
  if (pipe2(report, O_CLOEXEC) != 0) die("pipe");
  pid_t agent = fork();
  if (agent < 0) die("fork");
  if (agent == 0) become_agent(&o, agent_env, control, count, report[1]);
  close(report[1]);
  unsigned char failed = 0;
  ssize_t told = read(report[0], &failed, 1); /* ends at the exec; until then the socket is the agent's */
  (void)told;
  environ = search + 1;
  for (char **e = agent_env; *e; e++) explicit_bzero(*e, strlen(*e)); /* PID 1 keeps no secret */
  egress_path = o.egress;
  pthread_t thread;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  if (door >= 0 && pthread_create(&thread, NULL, forward, (void *)(intptr_t)door) != 0) die("thread");
  pthread_sigmask(SIG_SETMASK, &before, NULL);

  struct ending ending = {MSG_EXIT, 0, 0, ENDED_EXITED};
  bool agent_ended = false, killing = false;
  for (;;) {
    struct pollfd polled[3] = {{signals, POLLIN, 0}, {timer, POLLIN, 0}, {control, POLLIN, 0}};
    if (poll(polled, 3, killing ? 20 : -1) < 0 && errno != EINTR) break;
    if (polled[1].revents) {
      uint64_t times;
      if (read(timer, &times, sizeof times) < 0 && errno == EAGAIN) continue;
      if (ending.reason == ENDED_DEADLINE) killing = true;
      else if (!agent_ended) {
        ending.reason = ENDED_DEADLINE;
        kill(-1, SIGTERM);
        arm(timer, o.grace_ms > 0 ? o.grace_ms : 1);
      }
    }
    if (polled[2].revents) {
      char message[2] = {0};
      int none;
      ssize_t got = receive_fd(control, message, sizeof message, &none);
      if (got <= 0) killing = agent_ended = true; /* supervise is dead: so is everything */
      else if (message[0] == MSG_SIGNAL && !agent_ended) {
        if (message[1] == SIGKILL) killing = true;
        else kill(-agent, message[1]);
      }
    }
    struct signalfd_siginfo seen;
    while (read(signals, &seen, sizeof seen) == sizeof seen)
      if (seen.ssi_signo != SIGCHLD && !agent_ended) kill(-agent, (int)seen.ssi_signo);
    if (killing) kill(-1, SIGKILL); /* again and again: a fork may have slipped through */
    int status;
    pid_t gone;
    while ((gone = waitpid(-1, &status, WNOHANG)) > 0)
      if (gone == agent) {
        agent_ended = killing = true;
        ending.code = WIFSIGNALED(status) ? (unsigned char)(128 + WTERMSIG(status)) : (unsigned char)WEXITSTATUS(status);
        ending.signal = WIFSIGNALED(status) ? (unsigned char)WTERMSIG(status) : 0;
        if (ending.reason == ENDED_EXITED && ending.signal) ending.reason = ENDED_SIGNAL;
        kill(-1, SIGKILL);
      }
    if (gone < 0 && errno == ECHILD) break;
  }
  send_fd(control, &ending, sizeof ending, -1);
  return ending.code;
}
