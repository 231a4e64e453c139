import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const CLI = fileURLToPath(new URL('../../../bin/keywarden.js', import.meta.url));

export interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface CommandOptions {
  /** All that it gets beside PATH. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly cwd?: string;
  /** As this user and its group, when the tests are root's. */
  readonly uid?: number;
  readonly started?: (child: ChildProcess) => void;
}

/** The real command, as a person types it. */
export function keywarden(args: readonly string[], options: CommandOptions = {}): Promise<Said> {
  return said(process.execPath, [CLI, ...args], options);
}

/** The real command at a terminal. */
export interface Typed {
  /** One after the other: seconds since the start, or what must stand on the screen → what is typed then, or the terminal's new size as [rows, columns]. */
  readonly keys?: readonly (readonly [number | string, string | readonly [number, number]])[];
  readonly size?: readonly [number, number];
}

/**
 * What stood on the screen, and the exit code; `restored` tells whether the terminal's modes were as before afterwards.
 */
export async function atTerminal(
  args: readonly string[],
  typed: Typed = {},
  options: CommandOptions = {},
  program: readonly string[] = [process.execPath, CLI],
): Promise<Said & { readonly restored: boolean }> {
  const plan = JSON.stringify({ keys: typed.keys ?? [], size: typed.size ?? [24, 80] });
  const ran = await said('python3', ['-c', TERMINAL, plan, ...program, ...args], options);
  const told = /\[code (-?\d+), (restored|changed)\]\s*$/.exec(ran.out);
  return {
    code: told === null ? null : Number(told[1]),
    out: ran.out.slice(0, told?.index).replaceAll('\r\n', '\n'),
    err: ran.err,
    restored: told?.[2] === 'restored',
  };
}

export function said(command: string, args: readonly string[], options: CommandOptions): Promise<Said> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { PATH: process.env['PATH'], ...options.env },
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    });
    options.started?.(child);
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.stdin.end(options.stdin ?? '');
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

const TERMINAL = `
import fcntl, json, os, pty, select, signal, struct, sys, termios, time
plan, command = json.loads(sys.argv[1]), sys.argv[2:]
size = lambda fd, rows, columns: fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
pid, fd = pty.fork()
if pid == 0:
    size(0, *plan['size'])
    before = termios.tcgetattr(0)
    child = os.fork()
    if child == 0: os.execvp(command[0], command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(f"[code {code}, {'restored' if termios.tcgetattr(0) == before else 'changed'}]", flush=True)
    os._exit(0)
began, keys, screen = time.monotonic(), plan['keys'], b''
def due(when): return when.encode() in screen if isinstance(when, str) else time.monotonic() - began >= when
while time.monotonic() - began < 60:
    if select.select([fd], [], [], 0.05)[0]:
        try: data = os.read(fd, 65536)
        except OSError: break
        if not data: break
        os.write(1, data)
        screen += data
    while keys and due(keys[0][0]):
        what = keys.pop(0)[1]
        if isinstance(what, str): os.write(fd, what.encode())
        else: size(fd, *what)
else: os.kill(pid, signal.SIGKILL)
`;
