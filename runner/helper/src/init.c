/* PID 1 of the sandbox: the deadline, the agent's start and end. */
#include "helper.h"
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>

extern char **environ;

/* As the runner gave them; a limit of -1 is none. */
static struct {
  const char *cwd;
  char **command;
  long long deadline_ms, grace_ms, nofile, fsize, nproc;
  int port, uid, gid, landlock;
} o;
static const char SETTINGS[] = "deadline=%lld grace=%lld port=%d uid=%d gid=%d nofile=%lld fsize=%lld nproc=%lld landlock=%d%n";

static void limit(__rlimit_resource_t what, long long most) {
  struct rlimit both = {(rlim_t)most, (rlim_t)most};
  if (most >= 0 && setrlimit(what, &both) != 0) die("setrlimit");
}

/* DEV:INO:PLACE. The path that the runner judged may have been another's by the time that it was mounted. */
static void expect_as_judged(const char *mount) {
  unsigned long long dev, ino;
  struct stat is;
  int at = 0;
  if (sscanf(mount, "%llu:%llu:%n", &dev, &ino, &at) != 2) die(mount);
  errno = ESTALE;
  if (stat(mount + at, &is) == 0 && (is.st_dev != dev || is.st_ino != ino)) die(mount + at); /* out of its reach: no harm */
}

static _Noreturn void become_agent(int control, bool count) {
  sigprocmask(SIG_SETMASK, &(sigset_t){0}, NULL);
  for (int s = 1; s < 32; s++) signal(s, SIG_DFL);
  setsid();
  if (isatty(0)) ioctl(0, TIOCSCTTY, 0);
  drop_privileges(o.uid, o.gid);
  while (strcmp(*o.command++, "--") != 0) expect_as_judged(o.command[-1]);
  limit(RLIMIT_NOFILE, o.nofile), limit(RLIMIT_FSIZE, o.fsize), limit(RLIMIT_NPROC, o.nproc), limit(RLIMIT_CORE, 0);
  if (chdir(o.cwd) != 0) die(o.cwd);
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  int abi = landlock_abi();
  if (o.landlock && !landlock_enforce(abi)) die("Landlock cannot be enforced (a kernel >= 5.13 with lsm=landlock)");
  int listener = install_filter(count);
  /* Nobody has to say that it came: our exec asks for leave already. */
  struct message message = {.type = MSG_LISTEN, .value = (unsigned char)abi};
  if (count && !tell(control, message, listener)) die("nobody answers for the filter");
  syscall(SYS_close_range, 3, ~0u, 0);
  execvp(o.command[0], o.command);
  die_with(errno == ENOENT || errno == ENOTDIR ? 127 : 126, o.command[0]);
}

static void arm(int timer, long long ms) {
  struct itimerspec spec = {.it_value = {ms / 1000, (ms % 1000) * 1000000}};
  timerfd_settime(timer, 0, &spec, NULL);
}

/* Starts the agent with the environment that is read from `source`, of which nothing stays with us. */
static pid_t start(int source, int control, bool count) {
  static char text[1 << 20];
  static char *entries[sizeof text / 16];
  size_t size = 0, n = 0;
  for (ssize_t got = 1; got > 0; size += (size_t)got)
    if ((got = read(source, text + size, sizeof text - 1 - size)) < 0) die("the environment did not come");
  for (char *c = text; *c && n < sizeof entries / sizeof *entries - 1; c += strlen(c) + 1) entries[n++] = c;
  if (size == sizeof text - 1 || n == sizeof entries / sizeof *entries - 1) die("the environment is too large");
  close(source);
  pid_t agent = fork();
  if (agent < 0) die("fork");
  if (agent == 0) environ = entries, become_agent(control, count);
  explicit_bzero(text, size);
  return agent;
}

/* Until nothing lives but us. */
static struct message watch(pid_t agent, int control, int timer, int signals) {
  struct message ending = {.type = MSG_EXIT}, asked;
  bool late = false, killing = false;
  int none, status;
  for (;;) {
    struct pollfd polled[3] = {{signals, POLLIN, 0}, {timer, POLLIN, 0}, {agent > 0 ? control : -1, POLLIN, 0}};
    poll(polled, 3, killing ? 20 : -1);
    uint64_t times;
    if (polled[1].revents && read(timer, &times, sizeof times) > 0 && agent > 0) {
      killing |= late, late = true;
      kill(-1, SIGTERM);
      arm(timer, o.grace_ms > 0 ? o.grace_ms : 1);
    }
    if (polled[2].revents) {
      if (!hear(control, &asked, &none)) killing = true, control = -1; /* supervise is dead: so is everything */
      else if (asked.type == MSG_SIGNAL && asked.value == SIGKILL) killing = true;
      else if (asked.type == MSG_SIGNAL) kill(-agent, asked.value);
    }
    struct signalfd_siginfo seen;
    while (read(signals, &seen, sizeof seen) == sizeof seen)
      if (seen.ssi_signo != SIGCHLD && agent > 0) kill(-agent, (int)seen.ssi_signo);
    if (killing) kill(-1, SIGKILL); /* again and again: a fork may have slipped through */
    pid_t gone;
    while ((gone = waitpid(-1, &status, WNOHANG)) > 0) {
      if (gone != agent) continue;
      ending.more = WIFSIGNALED(status) ? (uint16_t)WTERMSIG(status) : 0;
      ending.value = (unsigned char)(ending.more ? 128 + ending.more : WEXITSTATUS(status));
      agent = 0, killing = true;
      kill(-1, SIGKILL);
    }
    if (gone < 0 && errno == ECHILD) return ending;
  }
}

int init_main(char **argv) {
  int read = 0, source;
  o.cwd = argv[2], o.command = argv + 4;
  sscanf(argv[3], SETTINGS, &o.deadline_ms, &o.grace_ms, &o.port, &o.uid, &o.gid, &o.nofile, &o.fsize, &o.nproc, &o.landlock, &read);
  errno = EINVAL;
  if (!read || argv[3][read]) die(argv[3]);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), ioctl(0, TIOCNOTTY); /* an engine makes the terminal ours: the agent is to have it */
  int control = unix_socket(argv[0], SOCK_SEQPACKET, false), top = open("/", O_PATH | O_CLOEXEC);
  if (control < 0) die("supervise cannot be reached");
  struct message go;
  if (!tell(control, (struct message){.type = MSG_HELLO}, top) || !hear(control, &go, &source) || go.type != MSG_GO) die("hello");
  close(top);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  long long left = o.deadline_ms - ((long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
  /* Counts while the host sleeps, and no step of the wall clock moves it (threat B63). */
  int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  arm(timer, left > 0 ? left : 1);
  int signals = signals_to_read();
  forward(o.port, argv[1]);
  pid_t agent = start(source, control, go.value);
  struct message ending = watch(agent, control, timer, signals);
  return tell(control, ending, -1), ending.value;
}
