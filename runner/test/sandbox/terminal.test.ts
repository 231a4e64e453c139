import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const CLI = new URL('../../bin/keywarden.js', import.meta.url).pathname;
const state = mkdtempSync(join(tmpdir(), 'keywarden-terminal-'));
// The killed runner's empty control groups are the next call's to remove.
afterAll(() => {
  spawnSync(process.execPath, [CLI, 'sweep', '--state', state]);
  rmSync(state, { recursive: true, force: true });
});

const TERMINAL = `
import fcntl, os, pty, select, struct, sys, termios, time
pid, fd = pty.fork()
if pid == 0 and "SHELL" in os.environ: os.execv("/bin/bash", ["bash", "--norc", "--noprofile", "-is", "--"] + sys.argv[1:])
if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
out = b""
def size(rows, columns): fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
def until(text, seconds=20):
    global out
    end = time.time() + seconds
    while text not in out and time.time() < end:
        if not select.select([fd], [], [], 0.1)[0]: continue
        try: out += os.read(fd, 4096)
        except OSError: break
def cooked(): return bool(termios.tcgetattr(fd)[3] & termios.ICANON)
`;
/** A terminal of 33 lines and 111 columns, in which a person types; later it is 44 by 122. */
const PERSON = `${TERMINAL}
size(33, 111)
until(b"ready"); print("raw" if not cooked() else "cooked")
os.write(fd, b"hello\\r"); until(b"got hello")
size(44, 122); time.sleep(0.5); os.write(fd, b"\\r"); until(b"44 122")
os.write(fd, b"\\x03"); until(b"interrupted")
print(out.decode())
if "KILL" in os.environ:
    os.kill(pid, 9); time.sleep(0.5); print("restored" if cooked() else "raw")
os.write(fd, b"\\r"); until(b"\\0", 3)
print("code", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
/** Who starts it in the background of a shell, and brings it to the front when it has stopped. */
const LATER = `${TERMINAL}
def type(text): os.write(fd, text.encode() + b"\\r")
until(b"bash-"); type('"$@" &'); time.sleep(2)
type("jobs"); until(b"Stopped"); type("fg"); until(b"ready"); type("hello"); until(b"got hello")
type(""); time.sleep(0.5); os.write(fd, b"\\x03"); until(b"interrupted"); type("")
for _ in range(20):
    if b"code 5" not in out: type("echo code $?"); until(b"code 5", 1)
print(out.decode())
`;
/** Waits for the interrupt with it blocked: a shell's trap loses one between its look and its read(2), 3 in 2,000. */
const AGENT = `
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
def say(*words): print(*words, flush=True)
def size(): say(*reversed(os.get_terminal_size()))
size(); say("ready"); say("got", sys.stdin.readline().strip()); sys.stdin.readline(); size()
signal.sigwait([signal.SIGINT]); say("interrupted"); sys.stdin.readline(); sys.exit(5)
`;

function person(env: Record<string, string> = {}, does = PERSON): string {
  const run = ['run', '--backend', 'namespace', '--no-edge', '--state', state, '--', 'python3', '-c', AGENT];
  const ran = spawnSync('python3', ['-c', does, process.execPath, CLI, ...run], {
    env: { PATH: process.env['PATH'], HOME: state, ...env },
    cwd: state,
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect(ran.stderr).toBe('');
  return ran.stdout.replaceAll('\r', '');
}

describe('a terminal', () => {
  it('inside is as large as ours, and follows; keys go in as they are; the exit code comes out', () => {
    const said = person();
    expect(said).toMatch(/^raw\n(.*\n)*33 111\nready\n/);
    expect(said).toMatch(/got hello\n(.*\n)*44 122\n(.*\n)*.*interrupted\n/);
    expect(said).toMatch(/code 5\n$/);
  });
  it('of ours is as it was, also when the runner is killed', () =>
    expect(person({ KILL: 'yes' })).toMatch(/^raw\n(.*\n)*restored\n/));
  it('that a shell had for its prompt when we started behind it is taken over when it is ours', () =>
    expect(person({ SHELL: 'yes' }, LATER)).toMatch(/Stopped(.*\n)*got hello\n(.*\n)*.*interrupted\n(.*\n)*code 5\n/));
});
