import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { helperPath } from '../../src/helper/helper-path.ts';
import type { Mount } from '../../src/sandbox/backend.ts';
import { DECOYS } from '../../src/sandbox/decoys/decoy-paths.ts';
import { dockerBackend } from '../../src/sandbox/docker/backend.ts';
import { namespaceBackend } from '../../src/sandbox/namespace/backend.ts';
import { cgroupBases } from '../../src/sandbox/namespace/cgroup.ts';
import { findProcesses } from '../../src/sandbox/namespace/find.ts';
import { makeSessionId } from '../../src/session/session-id.ts';
import { textOf } from '../../src/state/text-of.ts';
import { startOwnDockerd } from './support/own-dockerd.ts';
import { blockedOf, countOf, Place } from './support/sandboxed.ts';

const CALL = `
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(n, *a):
    r = libc.syscall(n, *a)
    return ctypes.get_errno() if r < 0 else 0
`;

/** Whether it stands in what the process may write to: its heap, stack and data. */
function isInMemory(pid: number, text: string): boolean {
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  try {
    return textOf(`/proc/${pid}/maps`)
      .split('\n')
      .some((line) => {
        const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
        if (from === undefined) return false;
        const start = BigInt(`0x${from}`);
        const bytes = Buffer.alloc(Number(BigInt(`0x${to}`) - start));
        return bytes.subarray(0, readSync(memory, bytes, 0, bytes.length, start)).includes(text);
      });
  } finally {
    closeSync(memory);
  }
}

const firstOf = (session: string): number =>
  Number(findProcesses(session, []).find(({ pid }) => /^NSpid:.*\s1$/m.test(textOf(`/proc/${pid}/status`)))?.pid);

/** Rows of the table in docs/sandbox.md, in the real sandbox of each backend; outside, the same probe works. */
describe.each(['namespace', 'docker'] as const)('%s:', (backend) => {
  let place: Place;
  let dockerd: ReturnType<typeof startOwnDockerd> | null = null;
  beforeAll(() => {
    if (backend === 'docker') dockerd = startOwnDockerd();
    place = new Place(dockerd === null ? namespaceBackend() : dockerBackend(dockerd.socket));
  });
  afterAll(() => {
    place.close();
    dockerd?.stop();
  });

  describe('a program', () => {
    it('keeps its exit code', async () =>
      expect((await place.shell('exit 7')).exit).toMatchObject({ code: 7, signal: null }));
    it('that a signal ends says which', async () =>
      expect((await place.shell('kill -9 $$')).exit).toMatchObject({ code: 137, signal: 'SIGKILL' }));
    it('that does not exist is 127, one that cannot run is 126', async () => {
      expect((await place.run(['no-such-program'])).exit.code).toBe(127);
      expect((await place.run(['/etc/passwd'])).exit.code).toBe(126);
    });
    it('reads its input and writes its two outputs', async () =>
      expect(await place.shell('cat; echo error >&2', { stdin: 'input\n' })).toMatchObject({
        stdout: 'input\n',
        stderr: 'error\n',
      }));
    it('leaves nothing, and takes everybody with it when it ends', async () => {
      const begun = performance.now();
      const ran = await place.shell('sleep 100 & setsid sleep 100 & true');
      expect(ran).toMatchObject({ exit: { code: 0 }, left: [] });
      expect(performance.now() - begun).toBeLessThan(30_000);
    });
    it('begins with no signal blocked or ignored', async () =>
      expect((await place.run(['grep', '-E', 'Sig(Blk|Ign)', '/proc/self/status'])).stdout).toBe(
        `SigBlk:\t${'0'.repeat(16)}\nSigIgn:\t${'0'.repeat(16)}\n`,
      ));
    it('finds python3, git and node as on the host', async () =>
      expect((await place.shell('python3 -c "print(1)" && git --version')).exit.code).toBe(0));
  });

  describe('the way out', () => {
    it('is the edge, and nothing else (B51)', async () => {
      const ran = await place.python(`
import socket, urllib.request
print(urllib.request.urlopen("http://127.0.0.1:8787/proxy/x").read().decode().strip())
for family, address in ((socket.AF_INET, ("1.1.1.1", 80)), (socket.AF_INET6, ("2606:4700:4700::1111", 80)), (socket.AF_INET, ("127.0.0.1", 22))):
    try: socket.socket(family).connect(address); print("connected")
    except OSError as e: print(e.errno)
try: socket.getaddrinfo("example.com", 80); print("resolved")
except OSError as e: print("no name")
`);
      // No route, or no address to come from.
      expect(ran.stdout).toMatch(/^from the edge\n(101|99)\n(101|99)\n111\nno name\n$/);
      expect(place.asked).toContain('GET /proxy/x');
    });
    it('carries the answer to who has said all and ended that direction, as many as come', async () => {
      const egressSocket = join(place.directory, 'half.sock');
      const server = createServer({ allowHalfOpen: true }, (client) =>
        client.resume().once('end', () => setTimeout(() => client.end('from the edge'), 500)),
      ).listen(egressSocket);
      await once(server, 'listening');
      const ran = await place.python(
        `
import socket
def asked():
    s = socket.create_connection(("127.0.0.1", 8787))
    s.sendall(b"all of it")
    s.shutdown(socket.SHUT_WR)
    return s
print({s.recv(99) for s in [asked() for _ in range(20)]})`,
        { egressSocket },
      );
      server.close();
      expect(ran.stdout, ran.stderr).toBe("{b'from the edge'}\n");
    });
    it('has no other interface (B59)', async () =>
      expect((await place.shell('cat /proc/net/dev | tail -n +3 | cut -d: -f1')).stdout.trim()).toBe('lo'));
  });

  describe('secrets', () => {
    const env = { API_SECRET: 'canary-7b1d' };
    it('of the environment are in no argv and not with PID 1 (B1, B2, B3)', async () => {
      const started = await place.start(['sh', '-c', 'cat /proc/1/environ; cat /proc/1/cmdline; sleep 1.75; true'], {
        env,
      });
      // Until the agent's own command is among them: then nothing was looked at too early.
      let argvs = '';
      while (!/(^|\n)sleep\x001\.75\x00/.test(argvs)) {
        argvs = readdirSync('/proc')
          .filter((name) => /^\d+$/.test(name))
          .map((pid) => textOf(`/proc/${pid}/cmdline`))
          .join('\n');
        expect(argvs).not.toContain('canary-7b1d');
        await sleep(20);
      }
      const ran = await started.ended;
      expect(ran.stdout).not.toContain('canary');
      expect(countOf(ran.counters, 'denied', 'proc-environ')).toBeGreaterThan(0);
    });
    it('of the host environment do not come in', async () => {
      process.env['KEYWARDEN_TEST_CANARY'] = 'canary-outer';
      expect((await place.shell('env; cat /proc/*/environ')).stdout).not.toContain('canary-outer');
    });
    it.runIf(process.getuid?.() === 0)(
      'are in the memory of the agent, and of nobody else of the sandbox',
      async () => {
        const started = await place.start(['sh', '-c', 'sleep 3; true'], { env });
        const all = () => findProcesses(started.session, []);
        await expect.poll(() => all().map(({ name }) => name)).toContain('sleep');
        const holding = all().filter(({ pid }) => isInMemory(pid, 'canary-7b1d'));
        expect(holding.map(({ name }) => name).toSorted()).toEqual(['sh', 'sleep']);
        await started.ended;
      },
    );
    it('are with the agent itself (control)', async () =>
      expect((await place.shell('printenv API_SECRET', { env })).stdout).toBe('canary-7b1d\n'));
  });

  describe('the private files in /proc', () => {
    const PRIVATE = [
      ...['mem', 'maps', 'smaps', 'smaps_rollup', 'numa_maps', 'map_files', 'root', 'cwd', 'fd', 'fdinfo', 'exe'],
      ...['auxv', 'stack', 'syscall', 'personality', 'io', 'pagemap'],
    ];
    it('of another process of the agent are denied, each of them, and counted (B2, B6)', async () => {
      const ran = await place.shell(`python3 -c '
import os
parent = f"/proc/{os.getppid()}/"
for name in ${JSON.stringify(PRIVATE)} + ["environ", f"task/{os.getppid()}/environ", f"task/{os.getppid()}/maps"]:
    try: os.close(os.open(parent + name, 0)); print(name)
    except OSError as error:
        if error.errno != 13: print(name, error.errno)
'; true`);
      expect(ran.stdout).toBe('');
      expect(countOf(ran.counters, 'denied', 'proc-other')).toBe(PRIVATE.length + 1);
      expect(countOf(ran.counters, 'denied', 'proc-environ')).toBe(2);
    });
    it('lead nowhere through another process, nor through a thread whose folder cannot be told (B5)', async () => {
      const ran =
        await place.shell(`mkdir ~/sub; echo plain > ~/plain; cd ~/sub; sleep 9 & other=$!; cd ~; exec python3 -c '
import os, sys, threading
def answer(path):
    try: return os.read(os.open(path, 0), 9)
    except OSError as error: return error.errno
ids = []
def own():
    ids.append(threading.get_native_id()); done.wait()
done = threading.Event()
threading.Thread(target=own).start()
while not ids: pass
print(answer(f"/proc/{sys.argv[1]}/cwd/../.aws/credentials"), answer(f"/proc/self/task/{ids[0]}/cwd/plain"), answer("/proc/thread-self/cwd/plain"))
done.set()' $other`);
      expect(ran.stdout, ran.stderr).toBe("13 13 b'plain\\n'\n");
      expect(ran.counters.denied).toEqual([{ pathClass: 'proc-other', syscall: 'openat', count: 1 }]);
      expect(ran.counters.dropped).toBe(1);
    });
    it('of its own are open, and its environment is counted as seen', async () => {
      const ran = await place.shell(
        `cat /proc/self/environ | grep -c PATH; cat /proc/self/task/*/environ | grep -c PATH; cat /proc/self/maps | grep -c cat
         exec python3 -c 'import os
for way in "/proc", "/tmp/../proc": open(f"{way}/{os.getpid()}/maps").close(), print(os.listdir(f"{way}/{os.getpid()}/fd")[:1])'`,
        { env: { PATH: '/usr/bin:/bin' } },
      );
      expect(ran.stdout, ran.stderr).toMatch(/^1\n1\n[1-9]\d*\n\['0'\]\n\['0'\]\n$/);
      expect(ran.counters.denied).toEqual([]);
      expect(countOf(ran.counters, 'observed', 'proc-environ')).toBeGreaterThanOrEqual(2);
    });
  });

  describe('credential paths', () => {
    const ALIASES: readonly [string, string][] = [
      ['its own name', 'cat ~/.aws/credentials'],
      ['dots and slashes', 'cat ~/../agent/./.aws//credentials'],
      ['a folder it stands in (B15)', 'cd ~/.aws && cat credentials'],
      ['/proc/self/root (B5)', 'cat /proc/self/root/home/agent/.aws/credentials'],
      ['/proc/self/cwd (B5)', 'cd ~/.aws && cat /proc/self/cwd/credentials'],
      ['/proc/self/cwd/.. (B5)', 'cd ~/.ssh && cat /proc/self/cwd/../.aws/credentials'],
      ['a link (B5)', 'ln -s ~/.aws/credentials /tmp/x && cat /tmp/x'],
      ['a link to a folder', 'ln -s ~/.aws /tmp/x && cat /tmp/x/credentials'],
      ['a link to /proc/self/root', 'ln -s /proc/self/root /tmp/x && cat /tmp/x/home/agent/.aws/credentials'],
      ['a chain of links', 'ln -s /tmp/y /tmp/x; ln -s ~/.aws /tmp/y; cat /tmp/x/credentials'],
      [
        'openat2 (B14)',
        `python3 -c '${CALL}
path = os.path.expanduser("~/.aws/credentials").encode()
how = (ctypes.c_uint64 * 3)(0, 0, 0)
sys.exit(call(437, -100, path, how, 24))'`,
      ],
      [
        'a folder descriptor (B15)',
        `python3 -c '
import os
fd = os.open(os.path.expanduser("~"), os.O_PATH)
os.open(".aws/credentials", os.O_RDONLY, dir_fd=fd)'`,
      ],
      [
        'dots behind a link, with which it looks as if it were of the system',
        'mkdir -p ~/deep/x; ln -s ~/deep/x /tmp/a; ln -s ~/.aws ~/usr; cat /tmp/a/../../usr/credentials',
      ],
      ['creating it where it is not (B18)', 'echo x > ~/.terraformrc'],
      ['running it', '~/.aws/credentials'],
    ];
    it.each(ALIASES)('are denied and counted by %s', async (_, script) => {
      const ran = await place.shell(script);
      expect(ran.exit.code).not.toBe(0);
      expect(ran.stdout).not.toMatch(/kwdecoy/);
      const classes = ran.counters.denied.map((row) => row.pathClass);
      expect(classes).toContain(script.includes('terraformrc') ? 'terraform' : 'aws');
      expect(ran.counters.dropped).toBe(0);
    });
    it('are not looked at by another name either: stat, access and readlink follow it as open does (B5)', async () => {
      const ran = await place.shell(`python3 -c '
import os
home = os.path.expanduser("~")
os.symlink(home + "/.aws/credentials", "/tmp/file")
os.symlink(home + "/.aws", "/tmp/folder")
os.symlink("/proc/self/root", "/tmp/root")
names = "/tmp/file", "/tmp/folder/credentials", "/tmp/root" + home + "/.aws/credentials"
looks = os.stat, os.readlink, lambda name: os.access(name, os.R_OK) or os.stat(name)
def answer(look, name):
    try: look(name); return "seen"
    except OSError as error: return error.strerror
print({answer(look, name) for look in looks for name in names}, os.stat("/tmp").st_mode > 0)'`);
      expect(ran.stdout).toBe("{'Permission denied'} True\n");
      const aws = ran.counters.denied.filter((row) => row.pathClass === 'aws');
      // Three names, each by stat, readlink, access and stat.
      expect(aws.reduce((sum, row) => sum + row.count, 0)).toBe(12);
    });
    it('are not opened past the counter in a root of its own (B14)', async () => {
      const ran = await place.shell(
        `ln -s /.aws/credentials /tmp/x; mkdir /tmp/d && echo mine > /tmp/d/f; python3 -c '${CALL}
IN_ROOT, PATH = 0x10, 0x200000
how = (ctypes.c_uint64 * 3)(PATH, 0, IN_ROOT)
home, tmp = os.open(os.path.expanduser("~"), PATH), os.open("/tmp", PATH)
for at, path in (home, b"/.aws/credentials"), (home, b"../../.aws/credentials"), (tmp, b"x"), (tmp, b"/d/f"), (tmp, b"d/f"):
    print(call(437, at, path, how, 24))
'`,
      );
      // EACCES for what is a credential, ENOSYS for all else: only where `..` or a link may lead anywhere it is in doubt.
      expect(ran.stdout).toBe('13\n38\n38\n38\n38\n');
      expect(ran.counters.denied).toEqual([{ pathClass: 'aws', syscall: 'openat2', count: 1 }]);
      expect(ran.counters.dropped).toBe(2);
    });
    it('of a mounted folder do not lose their name, under which alone they are known (B16, B17)', async () => {
      const work = join(place.directory, 'project');
      mkdirSync(work);
      for (const name of ['.env', 'other']) writeFileSync(join(work, name), `${name} canary-7c1f\n`);
      for (const name of ['.', '.env', 'other']) chmodSync(join(work, name), 0o777);
      const ran = await place.python(
        `${CALL}
os.symlink(".env", "/work/to")
folder = os.open("/work", os.O_PATH)
ways = {
    "link": lambda: call(86, b".env", b"x"),
    "linkat": lambda: call(265, folder, b".env", folder, b"x", 0),
    "linkat of a link": lambda: call(265, -100, b"/work/to", -100, b"/work/x", 0x400),
    "rename": lambda: call(82, b".env", b"x"),
    "renameat": lambda: call(264, folder, b".env", folder, b"x"),
    "renameat2": lambda: call(316, -100, b"/work/../work/.env", -100, b"/work/x", 1),
    "exchange": lambda: call(316, -100, b"/work/other", -100, b".env", 2),
} if os.uname().machine == "x86_64" else {}
for name, way in ways.items(): print(name, way())
for name in os.listdir("/work"):
    try: print(name, open("/work/" + name).read().strip())
    except OSError as error: print(name, error.errno)
print(call(82, b"other", b"another"), call(86, b"another", b"third"))`,
        { mounts: [{ source: work, destination: '/work', writable: true }], workdir: '/work' },
      );
      const ways = ['link', 'linkat', 'linkat of a link', 'rename', 'renameat', 'renameat2'];
      const said = [
        ...ways.map((way) => `${way} 13`),
        'exchange 38',
        '.env 13',
        'other other canary-7c1f',
        'to 13',
        '0 0',
      ];
      expect(ran.stdout.trim().split('\n').toSorted(), ran.stderr).toEqual(said.toSorted());
      const calls = ['link', 'linkat', 'rename', 'renameat', 'renameat2'];
      const counts = calls.map((name) => countOf(ran.counters, 'denied', 'env-file', name));
      expect(counts).toEqual([1, 2, 1, 1, 1]);
    });
    it('of which nothing can be known are denied, and counted as that: in memory that the kernel alone may read, in a folder without a name (B13)', async () => {
      const work = join(place.directory, 'doubt');
      mkdirSync(work);
      writeFileSync(join(work, '.env'), 'canary-2f90\n');
      for (const name of ['.', '.env']) chmodSync(join(work, name), 0o777);
      const ran = await place.python(
        `${CALL}
import errno, mmap
# Who may write to it alone: the processor reads it all the same, process_vm_readv(2) does not.
hidden = mmap.mmap(-1, 4096)
hidden.write(b"/work/.env\\0")
at = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(hidden)))
def opened(path, flags=0):
    fd = libc.open(path, flags)
    return os.read(fd, 99) if fd >= 0 else errno.errorcode[ctypes.get_errno()]
print(libc.mprotect(at, 4096, mmap.PROT_WRITE), opened(at))
print(errno.errorcode[call(437, -100, b"/etc/hostname", ctypes.c_void_p(at.value + 64), 24)])
# Deeper than a path is long, /proc can tell no name of it.
os.chdir("/tmp")
for _ in range(20): os.mkdir("d" * 250); os.chdir("d" * 250)
print(os.symlink("/work/.env", "to"), opened(b"to"))
os.chdir("/tmp")
print(opened(b"/etc/hostname") == b"keywarden\\n")`,
        { mounts: [{ source: work, destination: '/work', writable: false }] },
      );
      expect(ran.stdout, ran.stderr).toBe('0 EACCES\nEACCES\nNone EACCES\nTrue\n');
      expect(ran.counters.dropped).toBeGreaterThanOrEqual(3);
    });
    it("are Keywarden's own keys, too, however deep in a mounted folder a state directory lies", async () => {
      const ran = await place.shell(
        'mkdir -p ~/work/a/state && cd ~/work/a/state && for key in operator.key signing.jwk runner.jwk; do echo x > $key; cat $key; done; echo end',
      );
      expect(ran.stdout).toBe('end\n');
      expect(countOf(ran.counters, 'denied', 'keywarden')).toBe(6);
    });
    it("are the engine's socket by both of its names", async () => {
      const ran = await place.shell('for at in /var/run /run; do cat $at/docker.sock; done; echo end');
      expect(ran.stdout).toBe('end\n');
      expect(countOf(ran.counters, 'denied', 'docker')).toBe(2);
    });
    it('hold decoys of each session alone, which the mode of their files shuts, too, and outside can be read (control)', async () => {
      const canaries = new Set<string>();
      for (let i = 0; i < 2; i += 1) {
        const started = await place.start(['sleep', '100']);
        const decoys = join(started.folder, 'decoys');
        canaries.add(/kwdecoy[0-9a-f]{32}/.exec(readFileSync(join(decoys, '.aws/credentials'), 'utf8'))?.[0] ?? '');
        for (const { path } of DECOYS) expect(statSync(join(decoys, path)).mode & 0o7777, path).toBe(0);
        await started.sandbox.kill();
        await started.ended;
      }
      expect(canaries.size).toBe(2);
      expect(canaries).not.toContain('');
    });
    it('hold decoys, of which none can be opened uncounted', async () => {
      const ran = await place.python(`
import os
for path in ${JSON.stringify(DECOYS.map(({ path }) => path))}:
    try: os.open(os.path.expanduser("~/" + path), 0); print(path)
    except OSError as error:
        if error.errno != 13: print(path, error.errno)`);
      expect(ran.stdout).toBe('');
      expect(ran.counters.denied.reduce((sum, { count }) => sum + count, 0)).toBe(DECOYS.length);
    });
    it('cannot be renamed away or written (B17, B19)', async () => {
      const ran = await place.shell(
        'mv ~/.aws ~/x; mv ~/.config ~/y; echo x > ~/.ssh/f; rm -rf ~/.aws; chmod 600 ~/.aws/credentials; ls -d ~/.aws ~/.config',
      );
      expect(ran.stdout).toBe('/home/agent/.aws\n/home/agent/.config\n');
    });
    it('are not confused with what looks like them', async () => {
      const ran = await place.shell(
        'cd /tmp && echo a > .env.example && cat .env.example && mkdir aws && echo b > aws/credentials && cat aws/credentials',
      );
      expect(ran).toMatchObject({ stdout: 'a\nb\n', counters: { denied: [] } });
    });
    it('are counted once for each open, whatever interrupts it', async () => {
      const ran = await place.python(`
import os, signal
path = os.path.expanduser("~/.aws/credentials")
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.00005, 0.00005)
denied = 0
for _ in range(30000):
    try: os.open(path, 0)
    except PermissionError: denied += 1
signal.setitimer(signal.ITIMER_REAL, 0)
print(denied)
`);
      expect(ran.stdout).toBe('30000\n');
      expect(countOf(ran.counters, 'denied', 'aws')).toBe(30_000);
    });
    it('have a counter that stops at its top, and does not come round to nothing (B31)', async () => {
      const work = join(place.directory, 'top');
      mkdirSync(work);
      chmodSync(work, 0o755);
      const started = await place.start(
        ['sh', '-c', 'cat ~/.netrc; while ! test -e /work/go; do sleep 0.1; done; cat ~/.netrc; cat ~/.netrc'],
        { mounts: [{ source: work, destination: '/work', writable: false }] },
      );
      const counted = (): number => countOf(started.sandbox.counters(), 'denied', 'netrc');
      await expect.poll(counted).toBe(1);
      // Two short of the top, as after four thousand million of them.
      const file = join(started.folder, 'counts');
      const table = readFileSync(file);
      table.writeUInt32LE(2 ** 32 - 2, table.indexOf(1));
      writeFileSync(file, table, { flag: 'r+' });
      expect(counted()).toBe(2 ** 32 - 2);
      writeFileSync(join(work, 'go'), '');
      expect(countOf((await started.ended).counters, 'denied', 'netrc')).toBe(2 ** 32 - 1);
    });
    it('survive a flood of opens, each of them denied (B31)', async () => {
      const ran = await place.python(`
import os
path = os.path.expanduser("~/.aws/credentials")
opened = 0
for _ in range(100000):
    try: os.open(path, 0); opened += 1
    except PermissionError: pass
print(opened)
`);
      expect(ran.stdout).toBe('0\n');
      expect(countOf(ran.counters, 'denied', 'aws')).toBe(100_000);
    });
  });

  describe('system calls', () => {
    const NUMBERS: readonly [string, number, string][] =
      process.arch === 'x64'
        ? [
            ['io_uring_setup', 425, '1, 0'],
            ['open_by_handle_at', 304, '-100, 0, 0'],
            ['name_to_handle_at', 303, '-100, b"/", 0, 0, 0'],
            ['ptrace', 101, '0, 0, 0, 0'],
            ['process_vm_readv', 310, '1, 0, 0, 0, 0, 0'],
            ['pidfd_getfd', 438, '0, 0, 0'],
            ['add_key', 248, 'b"user", b"x", b"y", 1, -3'],
            ['keyctl', 250, '0, -3, 0'],
            ['unshare', 272, '0x10000000'],
            ['setns', 308, '0, 0'],
            ['mount', 165, '0, 0, 0, 0, 0'],
            ['pivot_root', 155, '0, 0'],
            ['bpf', 321, '0, 0, 0'],
            ['perf_event_open', 298, '0, 0, 0, 0, 0'],
            ['userfaultfd', 323, '0'],
            ['init_module', 175, '0, 0, 0'],
            ['kexec_load', 246, '0, 0, 0, 0'],
            ['syslog', 103, '3, 0, 0'],
            ['clone', 56, '0x10000011, 0, 0, 0, 0'],
            ['personality', 135, '0x0040000'],
            ['seccomp', 317, '1, 8, 0'],
          ]
        : [];
    it.each(NUMBERS)(
      '%s is refused and counted (B10, B11, B23, B25, B26, B28, B29, B30)',
      async (name, number, args) => {
        const ran = await place.python(`${CALL}\nprint(call(${number}, ${args}))`);
        expect(ran.stdout).toBe('1\n');
        // On docker the engine's own filter may answer before ours.
        if (backend === 'namespace') expect(blockedOf(ran.counters, name)).toBe(1);
      },
    );
    const OTHERS: Readonly<Record<string, number>> =
      process.arch === 'x64'
        ? {
            ...{ io_uring_enter: 426, io_uring_register: 427, process_vm_writev: 311, kcmp: 312, request_key: 249 },
            ...{ umount2: 166, chroot: 161, fsopen: 430, fsconfig: 431, fsmount: 432, fspick: 433, move_mount: 429 },
            ...{ open_tree: 428, mount_setattr: 442, open_tree_attr: 467, quotactl: 179, quotactl_fd: 443 },
            ...{ fanotify_init: 300, kexec_file_load: 320, finit_module: 313, delete_module: 176, swapon: 167 },
            ...{ swapoff: 168, reboot: 169, acct: 163, settimeofday: 164, clock_settime: 227, adjtimex: 159 },
            ...{ clock_adjtime: 305, sethostname: 170, setdomainname: 171, vhangup: 153, modify_ldt: 154 },
            ...{ uselib: 134, iopl: 172, ioperm: 173 },
          }
        : {};
    it('of mounts, of clocks, of the kernel itself and into other processes are refused and counted, each of them (B11, B23, B26, B30)', async () => {
      const ran = await place.python(
        `${CALL}\nprint(*(call(n, 0, 0, 0, 0, 0, 0) for n in (${Object.values(OTHERS).join()})))`,
      );
      const answers = new Set(ran.stdout.trim().split(' '));
      // An engine that does not know the newest by their names answers itself, as one without them.
      if (backend === 'docker') answers.delete('38');
      expect(answers).toEqual(new Set(['1']));
      if (backend === 'namespace')
        expect(Object.keys(OTHERS).filter((name) => blockedOf(ran.counters, name) !== 1)).toEqual([]);
    });
    it('clone3 says that it does not exist, so that programs use clone (B28)', async () =>
      expect((await place.python(`${CALL}\nprint(call(435, 0, 0))`)).stdout).toBe('38\n'));
    it('of another ABI kill the process (B27)', async () => {
      const source = join(place.directory, 'abi.c');
      writeFileSync(
        source,
        'int main(void) { long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(20)); return r > 0 ? 0 : 1; }',
      );
      const built = spawnSync('cc', ['-static', '-o', join(place.directory, 'abi'), source]);
      expect(built.status).toBe(0);
      expect(spawnSync(join(place.directory, 'abi')).status).toBe(0);
      chmodSync(place.directory, 0o755);
      const bin = join(place.directory, 'bin');
      mkdirSync(bin);
      spawnSync('cp', [join(place.directory, 'abi'), bin]);
      const ran = await place.run(['/opt/bin/abi'], {
        mounts: [{ source: bin, destination: '/opt/bin', writable: false }],
      });
      expect(ran.exit.signal).toBe('SIGSYS');
    });
    it('do not push keys into a terminal, with high bits set neither (B38)', async () => {
      const ran = await place.python(`${CALL}
import os
print(call(16, 0, ctypes.c_ulong(0x5412), b"x"), call(16, 0, ctypes.c_ulong(0x100005412), b"x"), call(16, 0, ctypes.c_ulong(0x541c), b"x"))`);
      expect(ran.stdout).toBe('1 1 1\n');
    });
    it('make no packet, raw, netlink or vsock socket (B39)', async () => {
      const ran = await place.python(`
import socket
for family, kind, protocol in ((17, 3, 0), (40, 1, 0), (16, 3, 9), (2, 3, 1), (16, 3, 0), (1, 1, 0), (2, 1, 0)):
    try: socket.socket(family, kind, protocol).close(); print("made")
    except OSError as e: print(e.errno)
`);
      expect(ran.stdout.trim().split('\n')).toEqual(['97', '97', '97', '97', 'made', 'made', 'made']);
    });
    it('make none by the other door, or by the old name of one, either (B39)', async () => {
      const ran = await place.python(`${CALL}
import socket
print(call(41, 2, 10, 3))
pair = (ctypes.c_int * 2)()
for family, kind, protocol in ((17, 3, 0), (40, 1, 0), (16, 3, 9), (30, 1, 0), (38, 5, 0), (1, 1, 0)):
    print(call(53, family, kind, protocol, pair))
`);
      if (process.arch === 'x64') expect(ran.stdout.trim().split('\n')).toEqual(['97', '1', '1', '1', '1', '1', '0']);
      if (process.arch === 'x64') expect(blockedOf(ran.counters, 'socketpair')).toBe(5);
      if (process.arch === 'x64') expect(blockedOf(ran.counters, 'socket')).toBe(1);
    });
  });

  describe('the file system', () => {
    it('is read-only but for /tmp and the home (B23)', async () => {
      const ran = await place.shell(
        'touch /usr/x /etc/x /x /proc/sys/kernel/x; echo 1 > /proc/sys/kernel/core_pattern; echo b > /proc/sysrq-trigger; touch /tmp/a ~/a && echo made',
      );
      expect(ran.stdout).toBe('made\n');
    });
    it('shows nothing of the host (no home, no var, no sockets) (B33)', async () => {
      const ran = await place.shell(
        'ls /root /home /var /mnt /srv /run 2>/dev/null; find / -xdev -type s 2>/dev/null; cat /etc/shadow /etc/ssh/* 2>/dev/null',
      );
      expect(ran.stdout).not.toMatch(/docker\.sock|dbus|containerd|root:|PRIVATE/);
      expect(ran.stdout).toMatch(/^\/home:\nagent\n/m);
    });
    it('has no kcore, no keys (B7)', async () =>
      expect((await place.shell('cat /proc/kcore /proc/keys /proc/timer_list | wc -c')).stdout).toBe('0\n'));
    it('makes no device (B21)', async () =>
      expect((await place.shell('mknod /tmp/d c 1 3 || mknod /tmp/b b 7 0')).exit.code).not.toBe(0));
    it('takes no set-uid program back to the host, and leaves set-gid folders alone (B22)', async () => {
      const left = join(place.directory, 'left');
      mkdirSync(left);
      chmodSync(left, 0o777);
      const script = `cd /work; cp /bin/true a && chmod 4755 a || echo refused; chmod 755 a; python3 -c '
import os
try: os.open("b", os.O_CREAT | os.O_WRONLY, 0o6755)
except PermissionError: print("refused")'
mkdir shared && chmod 2775 shared && stat -c %a shared`;
      const ran = await place.shell(script, {
        mounts: [{ source: left, destination: '/work', writable: true }],
      });
      expect(ran.stdout).toBe('refused\nrefused\n2775\n');
      expect(readdirSync(left).toSorted()).toEqual(['a', 'shared']);
      expect(statSync(join(left, 'a')).mode & 0o7777).toBe(0o755);
      expect(ran.counters.blocked.reduce((sum, { count }) => sum + count, 0)).toBe(2);
      execFileSync('sh', ['-c', 'cp /bin/true b && chmod 4755 b'], { cwd: left });
      expect(statSync(join(left, 'b')).mode & 0o4000).toBe(0o4000);
    });
    it('bounds /tmp and files (B67)', async () => {
      const ran = await place.shell('dd if=/dev/zero of=/tmp/big bs=1M count=100 2>/dev/null; stat -c %s /tmp/big');
      expect(Number(ran.stdout)).toBeLessThanOrEqual(16 * 1024 * 1024);
    });
    it('mounts a work folder, read-only unless it is said', async () => {
      const work = join(place.directory, 'work');
      mkdirSync(work);
      writeFileSync(join(work, 'in'), 'given\n');
      chmodSync(work, 0o777);
      const mounts = [{ source: work, destination: '/work', writable: false }];
      const ran = await place.shell('cat /work/in; touch /work/out', { mounts });
      expect(ran.stdout).toBe('given\n');
      expect(existsSync(join(work, 'out'))).toBe(false);
    });
    it('shows a mount below another one, in whatever order they are asked for', async () => {
      const [outer, inner] = ['outer', 'inner'].map((name) => join(place.directory, name)) as [string, string];
      mkdirSync(join(outer, 'in'), { recursive: true });
      mkdirSync(inner);
      writeFileSync(join(inner, 'below'), '');
      const mounts = [
        { source: inner, destination: '/work/in', writable: false },
        { source: outer, destination: '/work', writable: false },
      ];
      expect((await place.shell('find /work', { mounts })).stdout).toBe('/work\n/work/in\n/work/in/below\n');
    });
    it('starts no agent over another folder than was judged: its path may have been moved meanwhile', async () => {
      const [judged, other] = ['judged', 'other'].map((name) => join(place.directory, name)) as [string, string];
      for (const folder of [judged, other]) mkdirSync(folder, { mode: 0o755 });
      writeFileSync(join(other, 'secret'), 'canary-5e0d\n');
      const identity = ({ dev, ino } = statSync(judged, { bigint: true })): string => `${dev}:${ino}`;
      const mounts = [{ source: judged, destination: '/work', writable: false, identity: identity() }];
      expect((await place.shell('ls /work; echo ran', { mounts })).stdout).toBe('ran\n');
      // On another file system its number alone may be another's.
      const elsewhere = mounts.map((mount) => ({ ...mount, identity: mount.identity.replace(/^\d+/, '1') }));
      await expect(place.shell('ls /work', { mounts: elsewhere })).rejects.toThrow(/did not start|refused|125/);
      // As an agent does that may write to the folder above.
      renameSync(judged, `${judged}.away`);
      renameSync(other, judged);
      await expect(place.shell('cat /work/secret', { mounts })).rejects.toThrow(/did not start|refused|125/);
    });
  });

  describe('a process', () => {
    it('has no capability, no new privileges, a filter, and three descriptors (B8, B22)', async () => {
      const ran = await place.shell(
        'grep -E "Cap(Eff|Prm|Bnd|Amb)|NoNewPrivs|Seccomp:" /proc/self/status; ls /proc/self/fd | wc -l; ulimit -c; hostname',
      );
      expect(ran.stdout.replace(/\t/g, ' ').split('\n').slice(0, 9)).toEqual([
        'CapPrm: 0000000000000000',
        'CapEff: 0000000000000000',
        'CapBnd: 0000000000000000',
        'CapAmb: 0000000000000000',
        'NoNewPrivs: 1',
        'Seccomp: 2',
        // The fourth is ls's own.
        '4',
        '0',
        'keywarden',
      ]);
    });
    it('has namespaces of its own, no group but its own, and a root that is read-only', async () => {
      const kinds = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'uts'];
      const ran = await place.shell(
        `for kind in ${kinds.join(' ')}; do readlink /proc/self/ns/$kind; done; id -g; id -G; awk '$2 == "/" { print substr($4, 1, 2) }' /proc/mounts`,
      );
      const lines = ran.stdout.trim().split('\n');
      const [group, groups, root] = lines.splice(kinds.length);
      expect(lines.map((line) => line.split(':')[0])).toEqual(kinds);
      for (const [i, kind] of kinds.entries()) expect(lines[i]).not.toBe(readlinkSync(`/proc/self/ns/${kind}`));
      expect(groups).toBe(group);
      expect(root).toBe('ro');
    });
    it('is one user and one group, not root, without the other groups of who runs it, and can become none of these (B22)', async () => {
      const groups = process.getgroups?.() ?? [];
      if (process.getuid?.() === 0) process.setgroups?.([...groups, 4242]);
      const ran = await place
        .python(`
import os
print(*(set(map(int, line.split()[1:])) for line in open("/proc/self/status") if line[:4] in ("Uid:", "Gid:")))
print(4242 in os.getgroups())
for become in (lambda: os.setresuid(0, 0, 0), lambda: os.setresgid(0, 0, 0), lambda: os.setgroups([0])):
    try: become(); print("root")
    except OSError as e: print(e.errno)`)
        .finally(() => process.getuid?.() === 0 && process.setgroups?.(groups));
      expect(ran.stdout).toMatch(/^\{[1-9]\d*\} \{[1-9]\d*\}\nFalse\n1\n1\n1\n$/);
    });
    it('is under Landlock: of the sixteen layers that the kernel takes one is ours', async () => {
      // landlock(7): the seventeenth is E2BIG. Calls 444 and 446: create a ruleset (of one right to write files), and put it on.
      const ran = await place.python(`
import ctypes
call, own = ctypes.CDLL(None).syscall, 0
fd = call(444, ctypes.byref(ctypes.c_uint64(2)), 8, 0)
while own < 20 and call(446, fd, 0) == 0: own += 1
print(fd > 2, own)`);
      expect(ran.stdout).toBe('True 15\n');
    });
    it('writes below no folder of a system, though its mode and its mount let it: that floor is Landlock (B23)', async () => {
      const lent = join(place.directory, 'lent');
      mkdirSync(lent);
      chmodSync(lent, 0o777);
      const mounts = ['/opt/x', '/boot/x', '/srv/x'].map((destination) => ({
        source: lent,
        destination,
        writable: true,
      }));
      const ran = await place.shell('for at in /opt /boot /srv; do touch $at/x/made && echo $at; done', { mounts });
      expect(ran.stdout, ran.stderr).toBe('/srv\n');
      expect(ran.stderr.match(/Permission denied/g)).toHaveLength(2);
    });
    it('has its limits, hard as soft: core dumps, open files, the size of a file (B9, B67)', async () => {
      const ran = await place.python(
        'import resource as r; print(*(r.getrlimit(w) for w in (r.RLIMIT_CORE, r.RLIMIT_NOFILE, r.RLIMIT_FSIZE)))',
      );
      expect(ran.stdout).toBe('(0, 0) (512, 512) (67108864, 67108864)\n');
    });
    it('cannot signal PID 1 or look into it (B6, B32)', async () => {
      const ran = await place.shell('kill -9 1; ls /proc/1/fd; cat /proc/1/mem; echo lives');
      expect(ran.stdout).toBe('lives\n');
      expect(countOf(ran.counters, 'denied', 'proc-other')).toBeGreaterThan(0);
    });
    it('has a PID 1 with no capability but the four by which root makes it somebody else', async () => {
      const ran = await place.shell('grep -E "Cap(Prm|Eff)" /proc/1/status');
      // CAP_KILL, CAP_SETGID, CAP_SETUID and CAP_SETPCAP of capabilities(7).
      const its = backend === 'namespace' && process.getuid?.() === 0 ? '00000000000001e0' : '0'.repeat(16);
      expect(ran.stdout).toBe(`CapPrm:\t${its}\nCapEff:\t${its}\n`);
    });
    describe('with the very uid of PID 1', () => {
      // As root, who writes to root's folder keeps root's uid.
      const mounts: Mount[] = [];
      beforeAll(() => {
        const own = join(place.directory, 'own');
        mkdirSync(own);
        chmodSync(own, 0o777);
        mounts.push({ source: own, destination: '/work', writable: true });
      });
      it('cannot speak to the supervisor in its place, whose door has closed (B32)', async () => {
        const ran = await place.python(
          `
import glob, socket
for kind, name in ((socket.SOCK_STREAM, "egress"), (socket.SOCK_SEQPACKET, "control")):
    at = glob.glob("/run/keywarden/*/" + name)[0]
    try: socket.socket(socket.AF_UNIX, kind).connect(at); print("connected")
    except OSError as e: print(e.errno)`,
          { mounts },
        );
        expect(ran.stdout, ran.stderr).toBe('connected\n111\n');
      });
      it('writes nowhere but in /tmp, the home and what was mounted for it, and changes nothing that it is shown (B19, B23)', async () => {
        const ran = await place.shell(
          `for at in / /dev /etc /usr /run /run/keywarden /run/keywarden/* /home /proc /var /tmp /work ~ ~/.config; do touch $at/made 2>/dev/null && echo $at; done
for at in /run/keywarden/*/* /etc/passwd ~/.npmrc; do chmod 777 $at 2>/dev/null && echo $at; echo >> $at; done 2>/dev/null`,
          { mounts },
        );
        expect(ran.stdout).toBe('/tmp\n/work\n/home/agent\n/home/agent/.config\n');
      });
      it('renames no folder in which credentials would lie (B17)', async () => {
        const script =
          'cd; for at in .aws .config; do mv $at moved 2>/dev/null && echo $at; done; mkdir a && mv a b && ls -d b';
        expect((await place.shell(script, { mounts })).stdout).toBe('b\n');
      });
      it('cannot signal it, where Landlock knows of scopes (B32)', async () => {
        const abi = Number(execFileSync(await helperPath(), ['offers'], { encoding: 'utf8' }));
        const ran = await place.shell('kill -0 1 2>/dev/null && echo may', { mounts });
        expect(ran.stdout).toBe(abi >= 6 ? '' : 'may\n');
      });
    });
    it('cannot change the limits of PID 1, whose clock waits by a descriptor, but lower its own (B65)', async () => {
      const ran = await place.python(`
import resource as r
for pid in (1, 0):
    try: r.prlimit(pid, r.RLIMIT_NOFILE, (64, 64)); print("changed")
    except OSError as e: print(e.errno)
`);
      expect(ran.stdout).toBe('1\nchanged\n');
      expect(blockedOf(ran.counters, 'prlimit64')).toBe(1);
    });
    it('cannot put PID 1 behind others, whose clock would be late, but itself (B65)', async () => {
      const ran = await place.python(`
import os
def tried(change):
    try: change(); return "changed"
    except OSError as e: return e.errno
idle, cores, param = os.SCHED_IDLE, os.sched_getaffinity(0), os.sched_param(0)
for pid in (1, 0):
    print(*map(tried, (
        lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
        lambda: os.sched_setscheduler(pid, idle, param),
        lambda: os.sched_setparam(pid, param),
        lambda: os.sched_setaffinity(pid, cores))))
print(tried(lambda: os.setpriority(os.PRIO_USER, 0, 19)))`);
      expect(ran.stdout).toBe('1 1 1 1\nchanged changed changed changed\n1\n');
      expect(blockedOf(ran.counters, 'setpriority')).toBe(2);
      for (const name of ['sched_setscheduler', 'sched_setparam', 'sched_setaffinity'])
        expect(blockedOf(ran.counters, name), name).toBe(1);
    });
    it('that takes too much memory is killed for it', async () => {
      const ran = await place.python('x = bytearray(900 * 1024 * 1024)');
      expect(ran.exit.code).not.toBe(0);
      expect(ran.exit.outOfMemory).toBe(true);
    });
    it('whose child is killed for that, and that goes on and ends well, is not', async () => {
      const ran = await place.shell('python3 -c "x = bytearray(900 << 20)"; echo $?; exit 0');
      expect(ran).toMatchObject({ stdout: '137\n', exit: { code: 0, signal: null, outOfMemory: false } });
    });
    it('cannot fork without end: it may have as many processes as are said, and no more (B62)', async () => {
      const ran = await place.python(`
import os, time
living = 1
try:
    while living < 1000:
        if os.fork() == 0: time.sleep(30); os._exit(0)
        living += 1
except OSError: pass
print(living)
`);
      expect(ran.stdout).toBe('128\n');
      expect(ran.left).toEqual([]);
    });
  });

  describe('the end', () => {
    it('comes at the deadline, also for a fork bomb that ignores SIGTERM (B62)', async () => {
      const begun = performance.now();
      const ran = await place.shell(
        'trap "" TERM; for i in 1 2 3 4 5 6 7 8; do (trap "" TERM; while :; do sleep 0.05 & wait; done) & done; wait',
        {
          timeoutMs: 1500,
        },
      );
      expect(ran.exit.signal).toBe('SIGKILL');
      expect(performance.now() - begun).toBeLessThan(6000);
      expect(ran.left).toEqual([]);
    });
    it('is announced to every process at the deadline, in whatever session it is, and each has the grace to end well', async () => {
      const script = `trap 'while ! test -e /tmp/told; do sleep 0.05; done; exit 3' TERM
        setsid sh -c 'trap "touch /tmp/told; exit" TERM; while :; do sleep 0.05; done' &
        while :; do sleep 0.05; done`;
      const ran = await place.shell(script, { timeoutMs: 4000, graceMs: 20_000 });
      expect(ran.exit).toMatchObject({ code: 3, signal: null });
    });
    it('comes at once when the deadline was over before the start', async () => {
      const begun = performance.now();
      // With or without an agent that came up before the end.
      const exit = await place.run(['sleep', '100'], { timeoutMs: -60_000 }).then(
        (ran) => ran.exit.code,
        () => null,
      );
      expect([null, 143, 137]).toContain(exit);
      expect(performance.now() - begun).toBeLessThan(10_000);
    });
    it.runIf(process.getuid?.() === 0)(
      'is timed inside by a clock that counts the sleep of the host, too (B63)',
      async () => {
        const started = await place.start(['sleep', '2']);
        const of = `/proc/${firstOf(started.session)}/fdinfo`;
        const clocks = readdirSync(of).flatMap((fd) => /^clockid: (\d+)$/m.exec(textOf(join(of, fd)))?.[1] ?? []);
        // CLOCK_BOOTTIME.
        expect(clocks).toEqual(['7']);
        await started.ended;
      },
    );
    it('is proven by a look that found all of it while it lived: processes, groups, files, containers', async () => {
      const started = await place.start(['sleep', '100']);
      const left = await place.backend.leftovers(started.session, [], started.folder);
      const groups = backend === 'namespace' && cgroupBases().length > 0 ? ['cgroup'] : [];
      const its = backend === 'namespace' ? groups : ['container'];
      expect([...new Set(left.map(({ kind }) => kind))].toSorted()).toEqual(
        [...its, 'file', 'process', 'socket'].toSorted(),
      );
      // Swept while it lives, by its name alone, as one is whose lease is damaged.
      await place.backend.sweep(started.session, [], started.folder);
      expect(await place.backend.leftovers(started.session, [], started.folder)).toEqual([]);
      await started.ended.catch(() => {});
    });
    it('comes with kill, of everything', async () => {
      const started = await place.start(['sh', '-c', 'sleep 100 & setsid sleep 100 & sleep 100']);
      await sleep(200);
      await started.sandbox.kill();
      expect((await started.ended).left).toEqual([]);
    });
    it('comes within a second when the supervisor is killed (B32)', async () => {
      const started = await place.start(['sleep', '100']);
      const trace = started.traces.find((one) => one.kind === 'process');
      process.kill(trace?.pid ?? 0, 'SIGKILL');
      await sleep(1000);
      const left = await place.backend.leftovers(started.session, started.traces, started.folder);
      expect(left.filter((one) => one.kind === 'process')).toEqual([]);
      await started.ended;
    });
    it('is told as the kill that it is when somebody outside ends PID 1 (B32)', async () => {
      const started = await place.start(['sleep', '100']);
      process.kill(firstOf(started.session), 'SIGKILL');
      expect(await started.ended).toMatchObject({ exit: { code: 137, signal: 'SIGKILL' }, left: [] });
    });
    it('of one session leaves its neighbour alone (B64)', async () => {
      const one = await place.start(['sleep', '100']);
      const other = await place.start(['sh', '-c', 'sleep 2; echo fine']);
      await place.backend.sweep(one.session, one.traces, one.folder);
      expect((await other.ended).stdout).toBe('fine\n');
    });
    it('of one session leaves its neighbour alone, though its id stands in what that runs and shows (B64)', async () => {
      const one = makeSessionId();
      const lent = join(place.directory, 'of', one);
      mkdirSync(lent, { recursive: true });
      const other = await place.start(['sh', '-c', 'sleep 2; echo fine', one, `/run/keywarden/${one}/control`], {
        mounts: [{ source: lent, destination: `/${one}/control`, writable: false }],
      });
      expect(findProcesses(one, [])).toEqual([]);
      await place.backend.sweep(one, [], lent);
      expect((await other.ended).stdout).toBe('fine\n');
    });
    it('of one session leaves its neighbour alone, whose agent calls itself by its id (B64)', async () => {
      const one = makeSessionId();
      // Its id in two parts: in PID 1's own command line it stands nowhere.
      const script = `import os, sys
open("init", "w").write("sleep 3; echo fine")
os.execv("/bin/sh", ["keywarden-helper", "init", f"/run/keywarden/{sys.argv[1]}{sys.argv[2]}/control"])`;
      const other = await place.start(['python3', '-c', script, one.slice(0, 9), one.slice(9)]);
      const named = (): boolean =>
        readdirSync('/proc').some(
          (pid) => /^\d+$/.test(pid) && textOf(`/proc/${pid}/cmdline`).includes(`/${one}/control`),
        );
      await expect.poll(named).toBe(true);
      expect(findProcesses(one, [])).toEqual([]);
      expect((await other.ended).stdout).toBe('fine\n');
    });
    it('a signal reaches the whole group of the agent, as from a terminal', async () => {
      const deaf = 'while ! test -e /tmp/end; do sleep 0.05; done';
      const script = `(trap 'touch /tmp/end; exit' TERM; ${deaf}) & trap : TERM; ${deaf}; echo both`;
      const started = await place.start(['sh', '-c', script]);
      const shells = () => findProcesses(started.session, []).filter(({ name }) => name === 'sh');
      await expect.poll(() => shells().length).toBe(2);
      await sleep(500);
      const begun = performance.now();
      await started.sandbox.signal('SIGTERM');
      expect((await started.ended).stdout).toBe('both\n');
      // By the signal, and not by the one that comes at the deadline.
      expect(performance.now() - begun).toBeLessThan(30_000);
    });
    it('a signal reaches the agent', async () => {
      const started = await place.start(['sh', '-c', 'trap "echo told; exit 3" TERM; while :; do sleep 0.1; done']);
      await sleep(300);
      await started.sandbox.signal('SIGTERM');
      expect(await started.ended).toMatchObject({ stdout: 'told\n', exit: { code: 3 } });
    });
  });

  const ofDocker = backend === 'docker' ? describe : () => {};
  ofDocker('the engine', () => {
    it('shows no secret to who inspects the container (B3)', async () => {
      const started = await place.start(['sleep', '1'], { env: { API_SECRET: 'canary-7b1d' } });
      const id = started.traces.find((trace) => trace.kind === 'container')?.id ?? '';
      const shown = execFileSync('docker', ['-H', `unix://${dockerd?.socket}`, 'inspect', id], { encoding: 'utf8' });
      expect(shown).toContain(started.session);
      expect(shown).not.toContain('canary-7b1d');
      await started.ended;
    });
  });
  const ofNamespace = backend === 'namespace' ? describe : () => {};
  ofNamespace('the mounts', () => {
    it('are all read-only but for devices, /proc, what was mounted for that, and folders in memory, which have their size (B19, B23, B67)', async () => {
      const work = join(place.directory, 'of-mounts');
      mkdirSync(work);
      chmodSync(work, 0o777);
      const mounts = ['/work', '/seen'].map((destination) => ({
        source: work,
        destination,
        writable: destination === '/work',
      }));
      const ran = await place.shell('cat /proc/self/mounts', { mounts });
      const all = ran.stdout
        .trim()
        .split('\n')
        .map((line) => line.split(' ') as [string, string, string, string]);
      expect(all.length).toBeGreaterThan(20);
      // Of one place the last is seen.
      const options = new Map(all.map(([, at, , text]) => [at, text.split(',')]));
      const writable = [...options].filter(([, has]) => !has.includes('ro'));
      const inMemory = ['/dev/shm', '/home/agent', '/home/agent/.config', '/tmp'];
      const devices = ['full', 'null', 'pts', 'random', 'tty', 'urandom', 'zero'].map((name) => `/dev/${name}`);
      expect(writable.map(([at]) => at).toSorted()).toEqual([...inMemory, ...devices, '/proc', '/work'].toSorted());
      for (const at of inMemory) expect(options.get(at), at).toContain('size=16384k');
      // A terminal that bubblewrap would show there is covered (CVE-2017-5226).
      expect(options.get('/dev/console')).toContain('ro');
      for (const [at, has] of options) expect(has, at).toContain('nosuid');
      for (const [at, has] of options) if (!devices.includes(at)) expect(has, at).toContain('nodev');
    });
  });
  ofNamespace('control groups', () => {
    it('bound the memory, the swap, the processes and the cores of a session, where they may be made', async () => {
      const started = await place.start(['sleep', '100']);
      // Its own processes and those of its walls; two cores.
      const bounds: Readonly<Record<string, string>> = {
        'memory.limit_in_bytes': '536870912',
        'memory.memsw.limit_in_bytes': '536870912',
        'memory.max': '536870912',
        'memory.swap.max': '0',
        'pids.max': '133',
        'cpu.cfs_quota_us': '200000',
        'cpu.cfs_period_us': '100000',
        'cpu.max': '200000 100000',
      };
      const bases = cgroupBases();
      const files = bases.flatMap(({ path }) =>
        Object.keys(bounds).map((name) => [name, join(path, started.session, name)]),
      );
      const found = files.filter(([, file = '']) => existsSync(file));
      expect(found.length).toBeGreaterThanOrEqual(bases.flatMap(({ controllers }) => controllers).length);
      for (const [name = '', file = ''] of found) expect(textOf(file).trim(), name).toBe(bounds[name]);
      await started.sandbox.kill();
      expect((await started.ended).left).toEqual([]);
    });
  });
  ofNamespace('/proc of the whole machine', () => {
    const FOLDERS = ['acpi', 'asound', 'bus', 'driver', 'fs', 'irq', 'scsi'];
    const FILES = [
      ...[
        'config.gz',
        'interrupts',
        'iomem',
        'ioports',
        'kallsyms',
        'kcore',
        'keys',
        'key-users',
        'kmsg',
        'kpagecgroup',
      ],
      ...['kpagecount', 'kpageflags', 'latency_stats', 'mtrr', 'pagetypeinfo', 'sched_debug', 'slabinfo'],
      ...['sysrq-trigger', 'timer_list', 'timer_stats', 'vmallocinfo'],
    ];
    it('is covered: its telling folders are empty, its telling files are nothing (B7)', async () => {
      const there = (names: readonly string[]): string[] => names.filter((name) => existsSync(`/proc/${name}`));
      expect(there(FOLDERS).some((name) => readdirSync(`/proc/${name}`).length > 0)).toBe(true);
      const ran = await place.shell(
        `cd /proc; for at in ${there(FOLDERS).join(' ')}; do ls -A $at; done; for at in ${there(FILES).join(' ')}; do stat -c '%F %t:%T' $at; done | sort -u`,
      );
      expect(ran.stdout).toBe('character special file 1:3\n');
    });
  });
  ofNamespace('an ordinary user', () => {
    // Root of a user namespace of its own (`unshare -r`, a container without root) is one, too.
    it.each([
      ['has the same walls', []],
      ['that calls itself root has them, too', ['unshare', '-Ur']],
    ])('%s', async (_, as) => {
      // Short: the sockets may have to be in it.
      const state = mkdtempSync(join(tmpdir(), 'of-nobody-'));
      spawnSync('chown', ['65534:65534', state]);
      const cli = new URL('../../bin/keywarden.js', import.meta.url).pathname;
      // Of a process that is not dumpable, PID 1, the files in /proc are the host's root's: nobody in here.
      const script =
        'id -u; cat ~/.aws/credentials; touch /usr/x; grep CapEff /proc/self/status; cat /proc/1/environ; stat -c %u /proc/1/status; python3 -c "import ctypes, resource; print(ctypes.CDLL(None).syscall(425, 1, 0)); resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0))"';
      const run = spawn(
        'setpriv',
        [
          ...[
            '--reuid=65534',
            '--regid=65534',
            '--clear-groups',
            ...as,
            process.execPath,
            cli,
            'run',
            '--backend',
            'namespace',
          ],
          ...['--no-edge', '--state', state, '--json', '--', 'sh', '-c', script],
        ],
        { env: { PATH: '/usr/bin:/bin', HOME: state }, stdio: ['ignore', 'pipe', 'pipe'] },
      );
      let out = '';
      let error = '';
      run.stdout.on('data', (chunk) => (out += chunk));
      run.stderr.on('data', (chunk) => (error += chunk));
      await new Promise((resolve) => run.once('close', resolve));
      rmSync(state, { recursive: true });
      expect(out.split('\n').slice(0, 4), error).toEqual(['1000', 'CapEff:\t0000000000000000', '65534', '-1']);
      const summary = JSON.parse(error.trim().split('\n').at(-1) ?? '');
      expect(summary).toMatchObject({ backend: 'namespace', absence_proven: true, sources: ['seccomp-notify'] });
      expect(summary.denied).toBeGreaterThanOrEqual(2);
      // The second: PID 1 has its uid, and yet keeps the descriptors that its clock waits by.
      expect(error).toContain('PermissionError: [Errno 1]');
      expect(summary.blocked).toBe(2);
    });
  });
});
