#include "helper.h"
#include <ctype.h>
#include <fnmatch.h>

/* Patterns as in credential-paths.txt: `class pattern # source`. */
struct pattern {
  short path_class;
  bool home, anywhere, folder, glob, except;
  unsigned short length;
  char text[112];
};
#define MAX_PATTERNS 256
#define MAX_CLASSES 48
static struct pattern patterns[MAX_PATTERNS];
static int pattern_count, known_classes;
static char names[MAX_CLASSES][32];
static char home[512] = "/home/agent";

const char *class_name(int path_class) { return names[path_class]; }
int class_count(void) { return known_classes; }

int class_named(const char *name) {
  for (int i = 0; i < known_classes; i++)
    if (!strcmp(names[i], name)) return i;
  if (known_classes == MAX_CLASSES || strlen(name) >= sizeof names[0]) return -1;
  strcpy(names[known_classes], name);
  return known_classes++;
}

void classes_home(const char *path) {
  if (path[0] == '/' && strlen(path) < sizeof home) strcpy(home, path);
}

/* One line; false with a reason when it cannot be read. Empty lines and comments are fine. */
static bool parse_line(char *line, const char **why) {
  char *comment = strstr(line, " #");
  if (comment) *comment = 0;
  char *end = line + strlen(line);
  while (end > line && isspace((unsigned char)end[-1])) *--end = 0;
  if (!*line || *line == '#') return true;
  char *gap = strchr(line, ' ');
  if (!gap) return *why = "a line is `class pattern # source`", false;
  *gap = 0;
  char *text = gap + 1;
  while (*text == ' ') text++;
  for (char *c = line; *c; c++)
    if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '-') return *why = "a class is lower-case letters, digits and -", false;
  struct pattern *p = &patterns[pattern_count];
  if (pattern_count == MAX_PATTERNS) return *why = "too many patterns", false;
  *p = (struct pattern){0};
  if (*text == '!') p->except = true, text++;
  if (!strncmp(text, "~/", 2)) p->home = true, text += 2;
  else if (!strncmp(text, "**/", 3)) p->anywhere = true, text += 3;
  else if (*text != '/') return *why = "a pattern begins with ~/, / or **/", false;
  size_t length = strlen(text);
  if (length > 1 && text[length - 1] == '/') p->folder = true, length--;
  if (length == 0 || length >= sizeof p->text) return *why = "a pattern is too short or too long", false;
  memcpy(p->text, text, length);
  p->length = (unsigned short)length;
  p->glob = strpbrk(p->text, "*?[") != NULL;
  if ((p->path_class = (short)class_named(line)) < 0) return *why = "too many classes, or a name too long", false;
  pattern_count++;
  return true;
}

bool classes_parse(char *text, char *why, size_t size) {
  int number = 0;
  pattern_count = known_classes = 0;
  class_named("proc-environ");
  class_named("proc-other");
  for (char *line = text, *next; line; line = next) {
    const char *reason = NULL;
    if ((next = strchr(line, '\n'))) *next++ = 0;
    number++;
    if (!parse_line(line, &reason)) return snprintf(why, size, "line %d: %s", number, reason), false;
  }
  if (pattern_count == 0) return snprintf(why, size, "no pattern in it"), false;
  return true;
}

bool classes_load(const char *file, char *why, size_t size) {
  static char text[65536];
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (length < 0) return snprintf(why, size, "%s", strerror(errno)), false;
  if ((size_t)length == sizeof text - 1) return snprintf(why, size, "it is too long"), false;
  text[length] = 0;
  if (strlen(text) != (size_t)length) return snprintf(why, size, "it holds a null byte"), false;
  return classes_parse(text, why, size);
}

/* The rest of the path below some home folder, or NULL. */
static const char *below_home(const char *path) {
  size_t length = strlen(home);
  if (!strncmp(path, home, length) && path[length] == '/') return path + length + 1;
  if (!strncmp(path, "/root/", 6)) return path + 6;
  if (!strncmp(path, "/home/", 6)) {
    const char *slash = strchr(path + 6, '/');
    return slash ? slash + 1 : NULL;
  }
  return NULL;
}

enum match { NO, WHOLE, INSIDE };
static enum match matches(const struct pattern *p, const char *path) {
  if (p->glob) return fnmatch(p->text, path, p->folder ? FNM_LEADING_DIR | FNM_PERIOD : FNM_PATHNAME) == 0 ? WHOLE : NO;
  if (strncmp(path, p->text, p->length) != 0) return NO;
  if (!path[p->length]) return WHOLE;
  return p->folder && path[p->length] == '/' ? INSIDE : NO;
}

/* `path` is absolute and normalised. A name that is excepted is no credential, wherever it is. */
struct verdict classes_match(const char *path) {
  struct verdict found = {-1, false};
  const char *base = strrchr(path, '/');
  const char *mine = below_home(path);
  if (!base) return found;
  for (int i = 0; i < pattern_count; i++) {
    const struct pattern *p = &patterns[i];
    const char *subject = p->home ? mine : p->anywhere ? base + 1 : path;
    enum match how = subject ? matches(p, subject) : NO;
    if (how == NO) continue;
    if (p->except) return (struct verdict){-1, false};
    if (found.path_class < 0 || (found.folder && how == INSIDE))
      found = (struct verdict){p->path_class, p->folder && !p->glob && how == WHOLE};
  }
  return found;
}
