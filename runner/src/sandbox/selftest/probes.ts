import type { Counters } from '../backend.ts';

/** One attack: what it is, how it is tried inside, and that the very same try works where there is no sandbox. */
export interface Probe {
  /** Row of the threat list (docs/sandbox.md names the attacks). */
  readonly row: string;
  readonly name: string;
  /** Python; prints `reached` when the attack succeeds and `refused` when it does not. */
  readonly script: string;
  /** Python, run outside: must print `reached`, or the probe proves nothing. Null: the same script. */
  readonly control: string | null;
  /** The counter that must have moved, or null when there is none for it. */
  readonly counted: ((counters: Counters) => boolean) | null;
  /** A container engine's own filter may refuse it before ours, which then counts nothing. */
  readonly byEngineToo?: true;
}

const TRY = `
import ctypes, os, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
def said(worked): print("reached" if worked else "refused"); sys.exit()
def attempt(act):
    try: return said(bool(act()))
    except OSError: said(False)
def syscall(number, *arguments):
    result = libc.syscall(number, *arguments)
    return result, ctypes.get_errno()
`;

const NUMBERS: Readonly<Record<string, readonly [x64: number, arm64: number]>> = {
  io_uring_setup: [425, 425],
  keyctl: [250, 219],
  ptrace: [101, 117],
  bpf: [321, 280],
  unshare: [272, 97],
  mount: [165, 40],
  userfaultfd: [323, 282],
  name_to_handle_at: [303, 264],
};

const denied =
  (pathClass: string) =>
  (counters: Counters): boolean =>
    counters.denied.some((row) => row.pathClass === pathClass && row.count > 0);

/** Refused with EPERM and counted; outside the kernel knows the number: any other answer than "no such call". */
function byNumber(row: string, name: string, args: string): Probe {
  const number = (NUMBERS[name] ?? [0, 0])[process.arch === 'arm64' ? 1 : 0];
  return {
    row,
    name: `the system call ${name}`,
    script: `${TRY}\nresult, errno = syscall(${number}, ${args})\nsaid(not (result == -1 and errno == 1))`,
    control: `${TRY}\nresult, errno = syscall(${number}, ${args})\nsaid(errno != 38)`,
    counted: (counters) => counters.blocked.some((one) => one.syscall === name && one.count > 0),
    byEngineToo: true,
  };
}

const read = (path: string, before = ''): string =>
  `${TRY}\n${before}\nattempt(lambda: open(os.path.expanduser(${JSON.stringify(path)})).read())`;

const file = (text: string, path: string): string =>
  `${TRY}\nimport tempfile\nd = tempfile.mkdtemp(); p = os.path.join(d, ${JSON.stringify(path)}); os.makedirs(os.path.dirname(p), exist_ok=True)\nopen(p, "w").write("x")\n${text}`;

export const PROBES: readonly Probe[] = [
  {
    row: 'B1',
    name: "PID 1's environment",
    script: read('/proc/1/environ'),
    control: `${TRY}\nattempt(lambda: open("/proc/self/environ").read())`,
    counted: denied('proc-environ'),
  },
  {
    row: 'B5',
    name: 'a credential through /proc/self/root',
    script: `${TRY}\nattempt(lambda: open("/proc/self/root" + os.path.expanduser("~/.aws/credentials")).read())`,
    control: file('attempt(lambda: open("/proc/self/root" + p).read())', '.aws/credentials'),
    counted: denied('aws'),
  },
  {
    row: 'B5',
    name: 'a credential through a link',
    script: read('/tmp/link', 'os.symlink(os.path.expanduser("~/.ssh/id_rsa"), "/tmp/link")'),
    control: file('os.symlink(p, d + "/link"); attempt(lambda: open(d + "/link").read())', '.ssh/id_rsa'),
    counted: denied('ssh'),
  },
  {
    row: 'B14',
    name: 'a credential by openat2',
    script: `${TRY}\nhow = (ctypes.c_uint64 * 3)(0, 0, 0)\nresult, _ = syscall(437, -100, os.path.expanduser("~/.netrc").encode(), how, 24)\nsaid(result >= 0)`,
    control: file(
      'how = (ctypes.c_uint64 * 3)(0, 0, 0); result, _ = syscall(437, -100, p.encode(), how, 24); said(result >= 0)',
      '.netrc',
    ),
    counted: denied('netrc'),
  },
  {
    row: 'B15',
    name: 'a credential relative to a folder descriptor',
    script: `${TRY}\nfd = os.open(os.path.expanduser("~"), os.O_PATH)\nattempt(lambda: os.open(".kube/config", 0, dir_fd=fd) + 1)`,
    control: file(
      'fd = os.open(d, os.O_PATH); attempt(lambda: os.open(".kube/config", 0, dir_fd=fd) + 1)',
      '.kube/config',
    ),
    counted: denied('kube'),
  },
  {
    row: 'B17',
    name: 'renaming what holds a credential',
    script: `${TRY}\nattempt(lambda: os.rename(os.path.expanduser("~/.config"), "/tmp/config") or True)`,
    control: file('attempt(lambda: os.rename(d + "/.config", d + "/moved") or True)', '.config/x'),
    counted: null,
  },
  {
    row: 'B23',
    name: 'writing to the system',
    script: `${TRY}\nattempt(lambda: open("/usr/keywarden-probe", "w"))`,
    control: `${TRY}\nattempt(lambda: open("/tmp/keywarden-probe-control", "w"))`,
    counted: null,
  },
  {
    row: 'B7',
    name: "writing the kernel's settings",
    script: `${TRY}\nattempt(lambda: open("/proc/sys/kernel/core_pattern", "w"))`,
    control: `${TRY}\nattempt(lambda: open("/proc/self/comm", "w"))`,
    counted: null,
  },
  {
    row: 'B22',
    name: 'capabilities',
    script: `${TRY}\ntext = open("/proc/self/status").read()\nsaid(any(int(line.split()[1], 16) for line in text.splitlines() if line[:6] in ("CapEff", "CapPrm", "CapBnd")))`,
    control: `${TRY}\ntext = open("/proc/self/status").read()\nsaid("CapBnd" in text)`,
    counted: null,
  },
  {
    row: 'B8',
    name: 'descriptors of the runner',
    script: `${TRY}\nsaid(len(os.listdir("/proc/self/fd")) > 4)`,
    control: `${TRY}\nos.open("/", 0); os.open("/", 0)\nsaid(len(os.listdir("/proc/self/fd")) > 4)`,
    counted: null,
  },
  {
    row: 'B33',
    name: "the host's sockets",
    script: `${TRY}\nsaid(any(os.path.exists(p) for p in ("/var/run/docker.sock", "/run/docker.sock", "/run/dbus/system_bus_socket", "/run/podman/podman.sock")))`,
    control: `${TRY}\nsaid(os.path.exists("/run"))`,
    counted: null,
  },
  {
    row: 'B38',
    name: 'pushing keys into a terminal',
    script: `${TRY}\nresult, errno = syscall(${process.arch === 'arm64' ? 29 : 16}, 0, 0x5412, b"x")\nsaid(not (result == -1 and errno == 1))`,
    control: `${TRY}\nresult, errno = syscall(${process.arch === 'arm64' ? 29 : 16}, 0, 0x5412, b"x")\nsaid(errno != 38)`,
    counted: (counters) => counters.blocked.some((one) => one.syscall === 'ioctl'),
  },
  {
    row: 'B39',
    name: 'a packet socket',
    script: `${TRY}\nattempt(lambda: socket.socket(17, 3))`,
    control: `${TRY}\nattempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))`,
    counted: (counters) => counters.blocked.some((one) => one.syscall === 'socket'),
  },
  {
    row: 'B51',
    name: 'a connection to the internet',
    script: `${TRY}\ns = socket.socket(); s.settimeout(2)\nattempt(lambda: s.connect(("1.1.1.1", 80)) or True)`,
    control: `${TRY}\nl = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen()\ns = socket.socket()\nattempt(lambda: s.connect(l.getsockname()) or True)`,
    counted: null,
  },
  {
    row: 'B53',
    name: 'a name looked up',
    script: `${TRY}\nattempt(lambda: socket.getaddrinfo("example.com", 80))`,
    control: `${TRY}\nattempt(lambda: socket.getaddrinfo("localhost", 80))`,
    counted: null,
  },
  {
    row: 'B32',
    name: 'killing PID 1',
    script: `${TRY}\nimport time\ntry: os.kill(1, 9)\nexcept OSError: pass\ntime.sleep(0.1); said(not os.path.exists("/proc/1"))`,
    control: `${TRY}\np = subprocess.Popen(["sleep", "9"]); p.kill(); said(p.wait() == -9)`,
    counted: null,
  },
  byNumber('B26', 'io_uring_setup', '1, 0'),
  byNumber('B10', 'keyctl', '0, -3, 0'),
  byNumber('B11', 'ptrace', '0, 0, 0, 0'),
  byNumber('B28', 'unshare', '0x10000000'),
  byNumber('B23', 'mount', '0, 0, 0, 0, 0'),
  byNumber('B25', 'name_to_handle_at', '-100, b"/", 0, 0, 0'),
  byNumber('B30', 'bpf', '0, 0, 0'),
  byNumber('B30', 'userfaultfd', '0'),
];
