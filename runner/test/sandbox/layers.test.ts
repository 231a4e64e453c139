import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { mayCount } from '../../src/sandbox/docker/counting.ts';
import { CLI, said } from '../session/support/command.ts';

const directory = mkdtempSync(join(tmpdir(), 'keywarden-layers-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** As LXD's containers are, and our own sandbox: under a filter that has a listener, beside which the kernel takes no second one. */
const UNDER_A_LISTENER = `
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
allow = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fff0000))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 1, ctypes.addressof(allow)))
libc.prctl(38, 1, 0, 0, 0)
os.set_inheritable(libc.syscall(317 if os.uname().machine == "x86_64" else 277, 1, 8, program), True)
os.execv(sys.argv[1], sys.argv[1:])
`;

describe('a host on which no filter may have a listener of ours', () => {
  const keywarden = (...args: string[]) =>
    said('python3', ['-c', UNDER_A_LISTENER, process.execPath, CLI, ...args], { cwd: directory });

  it('is said by doctor to lack the layer, and why', async () => {
    const { out } = await keywarden('doctor');
    expect(out).toMatch(/^absent +namespace: seccomp user notification: .*(busy|BUSY)/m);
    expect(out).toMatch(/^present +namespace: Landlock: ABI/m);
  });

  it('refuses the run before anything is started', async () => {
    const args = ['--no-edge', '--state', join(directory, 'state'), '--backend', 'namespace', '--', 'echo', 'ran'];
    const { code, out, err } = await keywarden('run', ...args);
    expect({ code, out }, err).toEqual({ code: 125, out: '' });
    expect(err).toContain('the namespace backend lacks seccomp user notification');
  });
});

describe("whether a container's memory may be read for its paths", () => {
  it.each<[string, string, string, boolean]>([
    ['with CAP_SYS_PTRACE', '0000000000080000', '1', true],
    ['with it, where nobody may trace anything', '0000000000080000', '3', false],
    ['without it, by root', '0000000000000000', '0', process.getuid?.() !== 0],
  ])('%s', (name, capabilities, scope, may) => {
    const proc = join(directory, name);
    mkdirSync(join(proc, 'self'), { recursive: true });
    mkdirSync(join(proc, 'sys/kernel/yama'), { recursive: true });
    writeFileSync(join(proc, 'self/status'), `CapEff:\t${capabilities}\n`);
    writeFileSync(join(proc, 'sys/kernel/yama/ptrace_scope'), `${scope}\n`);
    expect(mayCount(proc)).toBe(may);
  });
});
