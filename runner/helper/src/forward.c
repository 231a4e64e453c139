/* The way out: a door on 127.0.0.1 to the edge's socket, both ways, in a thread that the agent cannot signal. */
#include "helper.h"
#include <arpa/inet.h>

#define MOST_WAYS 960 /* with both ends of each connection still below a usual limit of 1024 descriptors */
static int door, used; /* no way from `used` on was ever open */
static const char *edge_path;
/* One direction. Two in a row are a connection, to the edge and from it; its descriptors are closed when both have ended. */
static struct way {
  bool open;
  int from, to;
  size_t start, end;
} ways[MOST_WAYS];
static char data[MOST_WAYS][16384];

/* Moves what can be moved without waiting; false when this way has ended. What the other one still carries arrives. */
static bool move(struct way *w, char *bytes) {
  if (w->start == w->end) {
    ssize_t got = read(w->from, bytes, sizeof *data);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (got <= 0) return shutdown(w->to, got == 0 ? SHUT_WR : SHUT_RDWR), false;
    w->start = 0, w->end = (size_t)got;
  }
  ssize_t put = send(w->to, bytes + w->start, w->end - w->start, MSG_NOSIGNAL);
  if (put < 0 && errno != EAGAIN && errno != EINTR) return shutdown(w->from, SHUT_RD), false;
  w->start += put > 0 ? (size_t)put : 0;
  return true;
}

static void *move_all(void *nothing) {
  for (;;) {
    struct pollfd polled[MOST_WAYS + 1];
    struct way *room = NULL; /* free, or else one whose edge has ended what the agent holds on to */
    for (int i = 0; i < used; i++) {
      struct way *w = &ways[i];
      bool waits = w->start < w->end;
      polled[i + 1] = (struct pollfd){!w->open ? -1 : waits ? w->to : w->from, waits ? POLLOUT : POLLIN, 0};
      if (i % 2 == 0 && !w[1].open && (!room || room->open)) room = w;
    }
    if ((!room || room->open) && used < MOST_WAYS) room = &ways[used];
    polled[0] = (struct pollfd){room ? door : -1, POLLIN, 0};
    if (poll(polled, (nfds_t)used + 1, -1) < 0) continue;
    for (int i = 0; i < used; i++) {
      if (!polled[i + 1].revents || move(&ways[i], data[i])) continue;
      ways[i].open = false;
      if (!ways[i ^ 1].open) close(ways[i].from), close(ways[i].to);
    }
    int client = room && polled[0].revents ? accept4(door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
    int edge = client < 0 ? -1 : unix_socket(edge_path, SOCK_STREAM | SOCK_NONBLOCK, false);
    if (edge < 0) { if (client >= 0) close(client); continue; }
    if (room->open) close(room->from), close(room->to);
    if (room == &ways[used]) used += 2;
    room[0] = (struct way){.open = true, .from = client, .to = edge}, room[1] = (struct way){.open = true, .from = edge, .to = client};
  }
  return nothing;
}

void forward(int port, const char *edge) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int on = 1;
  pthread_t thread;
  edge_path = edge;
  door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), setsockopt(door, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
  if (bind(door, (struct sockaddr *)&address, sizeof address) != 0 || listen(door, 512) != 0) die("the way to the edge cannot be opened");
  if (pthread_create(&thread, NULL, move_all, NULL) != 0) die("thread");
}
