/* On the host: starts the sandbox, answers its notifications, counts, reports, and ends it when the runner is gone. */
#include "helper.h"
#include <stdatomic.h>
#include <sys/mman.h>
#include <termios.h>

/* The descriptors that the runner starts us with. */
enum { EVENTS = 3, LIFE = 4, ENVIRONMENT = 5, COUNTS = 6 };
/* By what came of it, class (the last one: none) and system call; the runner reads it in its file. */
static atomic_uint (*counts)[MOST_CLASSES + 1][MOST_RULES];
#define COUNTS_BYTES (COUNT_NOTHING * sizeof *counts)

static void *answer_notifications(void *argument) {
  int listener = (int)(intptr_t)argument;
  uint64_t sync = 1; /* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: the asker waits for us, so run us on its core */
  ioctl(listener, SECCOMP_IOW(4, uint64_t) /* SECCOMP_IOCTL_NOTIF_SET_FLAGS, of Linux 6.6 */, sync);
  for (;;) {
    union { struct seccomp_notif call; char room[256]; } asked = {0};
    union { struct seccomp_notif_resp answer; char room[256]; } reply = {0};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked.call) != 0) {
      struct pollfd polled = {listener, POLLIN, 0};
      if (errno == EINTR || (errno == ENOENT && poll(&polled, 1, -1) > 0 && !(polled.revents & POLLHUP))) continue;
      return NULL;
    }
    size_t rule = 0;
    while (rule < RULE_COUNT && RULES[rule].nr != asked.call.data.nr) rule++;
    struct answer judged = {EPERM, -1, COUNT_DROPPED};
    if (rule < RULE_COUNT) judged = judge(&asked.call, &RULES[rule]);
    /* The asker may be gone and its number another's: then what was read is another's too. */
    if (judged.count == COUNT_DROPPED && ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &asked.call.id) != 0) continue;
    if (judged.count != COUNT_NOTHING) {
      atomic_uint *counter = &counts[judged.count][judged.path_class < 0 ? MOST_CLASSES : judged.path_class][rule];
      /* Stops at its top: a flood must not come round to nothing (threat B31). */
      if (atomic_load_explicit(counter, memory_order_relaxed) < UINT32_MAX) atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    }
    reply.answer.id = asked.call.id;
    reply.answer.error = judged.error || !RULES[rule].never ? -judged.error : -ENOSYS;
    reply.answer.flags = reply.answer.error ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply.answer);
  }
}

static struct termios terminal;
static void restore_terminal(void) { tcsetattr(0, TCSAFLUSH, &terminal); }

/* For the agent, as ours at 0, which only hands on from now on, is in front: draining stops who is behind a shell's prompt. */
static int open_pty(int *slave, int owner) {
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0;
  if (master >= 0 && ioctl(master, TIOCSPTLCK, &unlock) == 0) *slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (*slave < 0 || (owner >= 0 && fchown(*slave, (uid_t)owner, (gid_t)-1) != 0)) die("no pseudo terminal");
  if (tcdrain(0) != 0 || tcgetattr(0, &terminal) != 0) return master;
  struct termios raw = terminal;
  tcsetattr(*slave, TCSANOW, &terminal);
  cfmakeraw(&raw);
  if (tcsetattr(0, TCSADRAIN, &raw) == 0) atexit(restore_terminal); /* what was typed by now is for the agent */
  return master;
}

/* False at the end of file, or when nobody takes it. */
static bool copy(int from, int to) {
  char data[16384];
  ssize_t got = read(from, data, sizeof data);
  for (ssize_t at = 0, put; at < got; at += put)
    if ((put = write(to, data + at, (size_t)(got - at))) <= 0) return false;
  return got > 0;
}

static pid_t start(char **command, int slave) {
  pid_t parent = getpid(), child = fork();
  if (child < 0) die("fork");
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != parent) _exit(EXIT_FAILED);
  /* Out of the runner's terminal session: nothing in there can push keys into it (threat B38). */
  setsid();
  if (slave >= 0) dup2(slave, 0), dup2(slave, 1), dup2(slave, 2);
  syscall(SYS_close_range, 3, ~0u, 0);
  sigprocmask(SIG_SETMASK, &(sigset_t){0}, NULL);
  execve(command[0], command, (char *[]){NULL});
  die(command[0]);
}

/* What PID 1 says; false at its end. */
static bool attend(int socket, bool counting, struct message *ending) {
  struct message said;
  int fd;
  pthread_t thread;
  if (!hear(socket, &said, &fd)) return false;
  if (said.type == MSG_EXIT) *ending = said;
  else if (said.type == MSG_HELLO && fd >= 0) {
    judge_root = fd;
    tell(socket, (struct message){.type = MSG_GO, .value = counting}, ENVIRONMENT);
    close(ENVIRONMENT);
  } else if (said.type == MSG_LISTEN && fd >= 0) {
    if (pthread_create(&thread, NULL, answer_notifications, (void *)(intptr_t)fd) != 0) die("thread");
    dprintf(EVENTS, "{\"event\":\"ready\",\"sources\":[\"seccomp-notify\"],\"landlock\":%d}\n", said.value);
  }
  return true;
}

int supervise_main(char **argv) {
  char *control = argv[0], **command = argv[3] ? argv + 3 : NULL;
  int pty, counting, owner, whole = 0, socket = -1, slave = -1, master = -1, life = LIFE, status = 0;
  errno = EINVAL;
  if (sscanf(argv[2], "pty=%d count=%d owner=%d%n", &pty, &counting, &owner, &whole) != 3 || argv[2][whole]) die(argv[2]);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  signal(SIGPIPE, SIG_IGN);
  syscall(SYS_close_range, EVENTS, COUNTS, CLOSE_RANGE_CLOEXEC);
  /* Room on the disk now, so that no count finds none later. */
  if ((errno = posix_fallocate(COUNTS, 0, COUNTS_BYTES)) != 0) die("the file of counts");
  if ((counts = mmap(NULL, COUNTS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, COUNTS, 0)) == MAP_FAILED) die("the file of counts");
  judge_home = argv[1];
  /* Nothing starts before the environment comes: by then the runner has written down that we are there. */
  poll(&(struct pollfd){ENVIRONMENT, POLLIN, 0}, 1, -1);
  int door = unix_socket(control, SOCK_SEQPACKET, true), signals = signals_to_read();
  if (door < 0 || chmod(control, 0600) != 0) die(control);
  if (pty) master = open_pty(&slave, owner);
  pid_t child = command ? start(command, slave) : 0;
  if (slave >= 0) close(slave);

  struct message ending = {0};
  /* To the last word of PID 1, the end of the command, and all that the terminal shows. */
  while (child > 0 || socket >= 0 || master >= 0 || (!command && door >= 0)) {
    struct pollfd polled[6] = {{door, POLLIN, 0},    {socket, POLLIN, 0}, {life, POLLIN, 0},
                               {signals, POLLIN, 0}, {master, POLLIN, 0}, {pty ? 0 : -1, POLLIN, 0}};
    poll(polled, 6, -1);
    if (polled[0].revents) {
      socket = accept4(door, NULL, NULL, SOCK_CLOEXEC);
      close(door), door = -1; /* nobody comes a second time */
    }
    if (polled[1].revents && !attend(socket, counting, &ending)) close(socket), socket = -1;
    if (polled[2].revents) {
      struct message order = {0};
      if (read(life, &order, sizeof order) != sizeof order) { /* the runner is dead: nothing goes on without it */
        order = (struct message){.type = MSG_SIGNAL, .value = SIGKILL};
        close(life), close(door), life = door = -1;
      }
      if (order.type == MSG_RESIZE) ioctl(master, TIOCSWINSZ, &(struct winsize){.ws_col = order.more, .ws_row = order.rows});
      else tell(socket, order, -1);
      /* The whole group: bubblewrap's own child waits for ever when its parent dies before it has told it to go on. */
      if (order.type == MSG_SIGNAL && order.value == SIGKILL && child > 0 && kill(-child, SIGKILL) != 0) kill(child, SIGKILL);
    }
    struct signalfd_siginfo seen;
    while (read(signals, &seen, sizeof seen) == sizeof seen) {
      if (seen.ssi_signo != SIGCHLD) tell(socket, (struct message){.type = MSG_SIGNAL, .value = (unsigned char)seen.ssi_signo}, -1);
      else if (child > 0 && waitpid(child, &status, WNOHANG) == child) child = -1;
    }
    if (polled[4].revents && !copy(master, 1)) close(master), master = -1, pty = false;
    if (polled[5].revents && pty && !copy(0, master)) {
      pty = false;
      if (write(master, "\4", 1) < 0) close(master), master = -1; /* the end of input, as a terminal says it */
    }
  }
  unlink(control);
  int killed = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) - 128; /* bubblewrap tells of PID 1's so */
  if (ending.type != MSG_EXIT && killed > 0) ending = (struct message){MSG_EXIT, (unsigned char)(128 + killed), (uint16_t)killed, 0};
  errno = EPIPE;
  if (ending.type != MSG_EXIT) die("the sandbox ended before it said how");
  dprintf(EVENTS, "{\"event\":\"exited\",\"code\":%d,\"signal\":%d}\n", ending.value, ending.more);
  return ending.value;
}
