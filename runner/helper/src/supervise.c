/* On the host: starts the sandbox, answers its notifications, counts, reports, and ends it when the runner is gone. */
#include "helper.h"
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, uint64_t)
#endif

#define MAX_RULES 128
#define MAX_CLASS 48
static atomic_uint denied[MAX_CLASS][MAX_RULES], observed[MAX_CLASS][MAX_RULES], blocked[MAX_RULES], dropped;
static unsigned told_denied[MAX_CLASS][MAX_RULES], told_observed[MAX_CLASS][MAX_RULES], told_blocked[MAX_RULES], told_dropped;
static atomic_bool news;
static int events = -1;

/* Stops at its top: a flood must not come round to nothing (threat B31). */
static void count(atomic_uint *counter) {
  unsigned now = atomic_load_explicit(counter, memory_order_relaxed);
  if (now < UINT32_MAX) atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
  atomic_store_explicit(&news, true, memory_order_relaxed);
}

static void *answer_notifications(void *argument) {
  int listener = (int)(intptr_t)argument;
  uint64_t sync = 1; /* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: the asker waits for us, so run us on its core */
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, sync);
  for (;;) {
    union { struct seccomp_notif call; char room[256]; } asked = {0};
    union { struct seccomp_notif_resp answer; char room[256]; } reply = {0};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked.call) != 0) {
      if (errno == EINTR || errno == ENOENT) {
        struct pollfd polled = {listener, POLLIN, 0};
        if (errno == ENOENT && poll(&polled, 1, -1) > 0 && (polled.revents & POLLHUP)) return NULL;
        continue;
      }
      return NULL;
    }
    size_t i = 0;
    while (i < RULE_COUNT && RULES[i].nr != asked.call.data.nr) i++;
    struct answer judged = i < RULE_COUNT ? judge(&asked.call, &RULES[i]) : (struct answer){EPERM, -1, COUNT_DROPPED};
    reply.answer.id = asked.call.id;
    /* The asker may be gone and its number another's: then what was read is another's too. */
    if (judged.count == COUNT_DROPPED && ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &asked.call.id) != 0) continue;
    if (judged.error) reply.answer.error = -judged.error;
    else reply.answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    switch (judged.count) {
      case COUNT_DENIED: count(&denied[judged.path_class][i]); break;
      case COUNT_OBSERVED: count(&observed[judged.path_class][i]); break;
      case COUNT_BLOCKED: count(&blocked[i]); break;
      case COUNT_DROPPED: count(&dropped); break;
      case COUNT_NOTHING: break;
    }
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply.answer);
  }
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...) {
  char line[512];
  va_list list;
  va_start(list, format);
  int length = vsnprintf(line, sizeof line, format, list);
  va_end(list);
  if (events >= 0 && length > 0 && write(events, line, (size_t)length) < 0) events = -1;
}

static void say_counts(void) {
  if (!atomic_exchange(&news, false)) return;
  for (size_t r = 0; r < RULE_COUNT; r++) {
    for (int c = 0; c < class_count(); c++) {
      unsigned d = atomic_load(&denied[c][r]), o = atomic_load(&observed[c][r]);
      if (d != told_denied[c][r])
        say("{\"event\":\"denied\",\"class\":\"%s\",\"syscall\":\"%s\",\"count\":%u}\n", class_name(c), RULES[r].name, told_denied[c][r] = d);
      if (o != told_observed[c][r])
        say("{\"event\":\"observed\",\"class\":\"%s\",\"syscall\":\"%s\",\"count\":%u}\n", class_name(c), RULES[r].name, told_observed[c][r] = o);
    }
    unsigned b = atomic_load(&blocked[r]);
    if (b != told_blocked[r]) say("{\"event\":\"blocked\",\"syscall\":\"%s\",\"count\":%u}\n", RULES[r].name, told_blocked[r] = b);
  }
  unsigned lost = atomic_load(&dropped);
  if (lost != told_dropped) say("{\"event\":\"dropped\",\"count\":%u}\n", told_dropped = lost);
}

static void fail(const char *why, const char *mend) {
  say("{\"event\":\"failed\",\"why\":\"%s\",\"mend\":\"%s\"}\n", why, mend);
  fprintf(stderr, "keywarden-helper: error: %s\n", why);
}

static char *secret_env;
static size_t secret_size;

static void read_env(int fd) {
  size_t room = 1 << 20;
  secret_env = malloc(room);
  for (ssize_t got; fd >= 0 && (got = read(fd, secret_env + secret_size, room - secret_size)) != 0;) {
    if (got < 0 && errno != EINTR) die("--env-fd");
    if (got > 0) secret_size += (size_t)got;
    if (secret_size == room) { errno = E2BIG; die("--env-fd"); }
  }
  if (fd >= 0) close(fd);
}

static void send_env(int socket, bool counting) {
  char part[PACKET];
  for (size_t at = 0; at < secret_size; at += PACKET - 1) {
    size_t size = secret_size - at < PACKET - 1 ? secret_size - at : PACKET - 1;
    part[0] = MSG_ENV;
    memcpy(part + 1, secret_env + at, size);
    send_fd(socket, part, size + 1, -1);
  }
  for (char *e = secret_env; e < secret_env + secret_size; e += strlen(e) + 1)
    if (!strncmp(e, "HOME=", 5)) classes_home(e + 5);
  explicit_bzero(part, sizeof part);
  explicit_bzero(secret_env, secret_size);
  char go[2] = {MSG_GO, counting};
  send_fd(socket, go, sizeof go, -1);
}

static struct termios terminal;
static bool terminal_changed;
static void restore_terminal(void) {
  if (terminal_changed) tcsetattr(0, TCSAFLUSH, &terminal);
  terminal_changed = false;
}
static void copy_size(int master) {
  struct winsize size;
  if (ioctl(0, TIOCGWINSZ, &size) == 0) ioctl(master, TIOCSWINSZ, &size);
}
static int open_pty(int *slave) {
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0;
  if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) != 0) die("no pseudo terminal");
  *slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (*slave < 0) die("no pseudo terminal");
  if (tcgetattr(0, &terminal) == 0) {
    struct termios raw = terminal;
    tcsetattr(*slave, TCSANOW, &terminal);
    cfmakeraw(&raw);
    terminal_changed = tcsetattr(0, TCSAFLUSH, &raw) == 0;
    atexit(restore_terminal);
  }
  copy_size(master);
  return master;
}

static void copy(int from, int to) {
  char data[16384];
  ssize_t got = read(from, data, sizeof data);
  for (ssize_t at = 0, put; got > 0 && at < got; at += put)
    if ((put = write(to, data + at, (size_t)(got - at))) < 0) { if (errno != EINTR) return; put = 0; }
}

static pid_t start(char **command, int slave, const sigset_t *signals) {
  pid_t parent = getpid(), child = fork();
  if (child < 0) die("fork");
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != parent) _exit(EXIT_FAILED);
  /* Out of the runner's terminal session: nothing in there can push keys into it (threat B38). */
  setsid();
  if (slave >= 0) dup2(slave, 0), dup2(slave, 1), dup2(slave, 2);
  syscall(SYS_close_range, 3, ~0u, 0);
  sigprocmask(SIG_UNBLOCK, signals, NULL);
  static char *nothing[] = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin", NULL};
  execvpe(command[0], command, nothing);
  fprintf(stderr, "keywarden-helper: error: %s: %s\n", command[0], strerror(errno));
  _exit(EXIT_FAILED);
}

static void obey(char *line, int socket, int master, pid_t child) {
  int number, rows;
  if (sscanf(line, "signal %d", &number) == 1 && socket >= 0) {
    char message[2] = {MSG_SIGNAL, (char)number};
    send_fd(socket, message, sizeof message, -1);
  } else if (sscanf(line, "resize %d %d", &number, &rows) == 2 && master >= 0) {
    struct winsize size = {.ws_col = (unsigned short)number, .ws_row = (unsigned short)rows};
    ioctl(master, TIOCSWINSZ, &size);
  } else if (!strcmp(line, "kill")) {
    char message[2] = {MSG_SIGNAL, SIGKILL};
    if (socket >= 0) send_fd(socket, message, sizeof message, -1);
    if (child > 0) kill(child, SIGKILL);
  }
}

int supervise_main(int argc, char **argv) {
  const char *control = NULL, *classes = NULL;
  int life = -1, env = -1, slave = -1, master = -1;
  bool pty = false, counting = true;
  char **command = NULL, why[256];
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--")) { command = argv + i + 1; break; }
    if (!strcmp(argv[i], "--pty")) { pty = true; continue; }
    if (!strcmp(argv[i], "--no-count")) { counting = false; continue; }
    if (i + 1 == argc) { errno = EINVAL; die(argv[i]); }
    const char *name = argv[i], *value = argv[++i];
    if (!strcmp(name, "--control")) control = value;
    else if (!strcmp(name, "--classes")) classes = value;
    else if (!strcmp(name, "--events-fd")) events = atoi(value);
    else if (!strcmp(name, "--life-fd")) life = atoi(value);
    else if (!strcmp(name, "--env-fd")) env = atoi(value);
    else { errno = EINVAL; die(name); }
  }
  if (!control || !classes) { errno = EINVAL; die("supervise: --control and --classes are needed"); }
  if (events >= 0) fcntl(events, F_SETFD, FD_CLOEXEC);
  if (life >= 0) fcntl(life, F_SETFD, FD_CLOEXEC);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  signal(SIGPIPE, SIG_IGN);
  if (!classes_load(classes, why, sizeof why)) return fail(why, "the list of credential paths cannot be read"), EXIT_FAILED;
  read_env(env);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(control) >= sizeof address.sun_path) { errno = ENAMETOOLONG; die("--control"); }
  strcpy(address.sun_path, control);
  int door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), socket = -1;
  if (bind(door, (struct sockaddr *)&address, sizeof address) != 0 || chmod(control, 0600) != 0 || listen(door, 1) != 0) die(control);
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD), sigaddset(&watched, SIGWINCH), sigaddset(&watched, SIGTERM), sigaddset(&watched, SIGINT), sigaddset(&watched, SIGHUP);
  sigprocmask(SIG_BLOCK, &watched, NULL);
  int signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
  if (pty) master = open_pty(&slave);
  pid_t child = command ? start(command, slave, &watched) : 0;
  if (slave >= 0) close(slave);

  struct ending ending = {0};
  int status = 0;
  bool ended = false, typing = pty;
  char line[128];
  size_t line_length = 0;
  while (!(ended && (child <= 0 || !command))) {
    struct pollfd polled[6] = {{door, POLLIN, 0}, {socket, POLLIN, 0}, {life, POLLIN, 0}, {signals, POLLIN, 0}, {master, POLLIN, 0}, {typing ? 0 : -1, POLLIN, 0}};
    if (poll(polled, 6, 50) < 0 && errno != EINTR) break;
    if (door >= 0 && (polled[0].revents & POLLIN)) {
      socket = accept4(door, NULL, NULL, SOCK_CLOEXEC);
      close(door), unlink(control), door = -1; /* nobody comes a second time */
    }
    if (socket >= 0 && polled[1].revents) {
      char message[16] = {0};
      int fd;
      ssize_t got = receive_fd(socket, message, sizeof message, &fd);
      if (got <= 0) { close(socket), socket = -1; if (!command) ended = true; continue; }
      if (message[0] == MSG_HELLO && fd >= 0) judge_root(fd), send_env(socket, counting);
      else if (message[0] == MSG_LISTEN && fd >= 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, answer_notifications, (void *)(intptr_t)fd) != 0) die("thread");
        say("{\"event\":\"ready\",\"sources\":[\"seccomp-notify\"],\"landlock\":%d}\n", message[1]);
        char ack = MSG_ACK;
        send_fd(socket, &ack, 1, -1);
      } else if (message[0] == MSG_EXIT && got == sizeof ending) memcpy(&ending, message, sizeof ending), ended = ended || !command;
    }
    if (polled[2].revents) {
      ssize_t got = read(life, line + line_length, sizeof line - 1 - line_length);
      if (got <= 0) { /* the runner is dead: nothing goes on without it */
        obey("kill", socket, master, child);
        if (!command) ended = true;
        close(life), life = -1;
      } else {
        line_length += (size_t)got;
        line[line_length] = 0;
        for (char *end; (end = strchr(line, '\n')); line_length = strlen(line)) {
          *end = 0;
          obey(line, socket, master, child);
          memmove(line, end + 1, strlen(end + 1) + 1);
        }
        if (line_length == sizeof line - 1) line_length = 0;
      }
    }
    struct signalfd_siginfo seen;
    while (read(signals, &seen, sizeof seen) == sizeof seen) {
      if (seen.ssi_signo == SIGWINCH && master >= 0) copy_size(master);
      else if (seen.ssi_signo == SIGCHLD) {
        if (child > 0 && waitpid(child, &status, WNOHANG) == child) child = -1, ended = true;
      } else {
        snprintf(line, sizeof line, "signal %u", seen.ssi_signo);
        obey(line, socket, master, child);
      }
    }
    if (master >= 0 && (polled[4].revents & (POLLIN | POLLHUP))) {
      if (polled[4].revents & POLLIN) copy(master, 1);
      else if (ended) close(master), master = -1;
    }
    if (typing && (polled[5].revents & (POLLIN | POLLHUP))) {
      char data[4096];
      ssize_t got = read(0, data, sizeof data);
      if (got <= 0) { char eof = 4; typing = false; got = write(master, &eof, 1); }
      else if (write(master, data, (size_t)got) < 0) typing = false;
    }
    say_counts();
  }
  for (struct pollfd rest = {master, POLLIN, 0}; master >= 0 && poll(&rest, 1, 0) > 0 && (rest.revents & POLLIN);) copy(master, 1);
  if (socket >= 0 && ending.type != MSG_EXIT) {
    char message[16];
    int fd;
    struct pollfd last = {socket, POLLIN, 0};
    while (poll(&last, 1, 0) > 0 && receive_fd(socket, message, sizeof message, &fd) > 0)
      if (message[0] == MSG_EXIT) memcpy(&ending, message, sizeof ending);
  }
  say_counts();
  restore_terminal();
  if (door >= 0) unlink(control);
  static const char *const REASONS[] = {"exited", "deadline", "signal"};
  if (ending.type == MSG_EXIT) {
    if (ending.signal) say("{\"event\":\"exited\",\"code\":%d,\"signal\":%d,\"reason\":\"%s\"}\n", ending.code, ending.signal, REASONS[ending.reason % 3]);
    else say("{\"event\":\"exited\",\"code\":%d,\"signal\":null,\"reason\":\"%s\"}\n", ending.code, REASONS[ending.reason % 3]);
    return ending.code;
  }
  if (child == -1 && WIFSIGNALED(status)) {
    say("{\"event\":\"exited\",\"code\":%d,\"signal\":%d,\"reason\":\"signal\"}\n", 128 + WTERMSIG(status), WTERMSIG(status));
    return 128 + WTERMSIG(status);
  }
  fail("the sandbox ended before it said how", "see what it wrote to its standard error");
  return EXIT_FAILED;
}
