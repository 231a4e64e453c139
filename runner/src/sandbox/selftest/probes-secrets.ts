import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { Failure } from '../../failure.ts';
import { attack, controlOf, type Probe } from './attack.ts';
import { until } from './world.ts';

const scanOfHost = (file: 'cmdline' | 'environ', canary: string, except: readonly number[] = []): number =>
  readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || except.includes(Number(pid))) return false;
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(canary);
    } catch {
      return false;
    }
  }).length;

/** Rows 1–11: secrets and /proc. */
export const SECRETS: readonly Probe[] = [
  attack({
    row: 1,
    name: 'environment of PID 1',
    probe: (world) => ['parent-environ', world.canary],
    inside: (world) => ({ env: { CANARY: world.canary } }),
    control: (world) => ['below', 'parent-environ', world.canary],
    controlEnv: (world) => ({ CANARY: world.canary }),
    counted: { pathClass: 'proc-environ', atLeast: 2 },
  }),
  attack({
    row: 2,
    name: 'any environment',
    probe: (world) => ['environs', world.canary],
    inside: (world) => ({ env: { CANARY: world.canary } }),
    control: (world) => ['below', 'environs', world.canary],
    controlEnv: (world) => ({ CANARY: world.canary }),
    counted: { pathClass: 'proc-environ' },
  }),
  {
    row: 3,
    name: 'secrets in command lines on the host',
    async run(world) {
      const { canary } = world;
      const running = await world.start(['stay'], { env: { CANARY: canary } });
      const here = await until(() => running.said().includes('here'), 5000);
      const argvs = scanOfHost('cmdline', canary);
      await running.sandbox.kill();
      await running.ended;
      const plain = spawn('sleep', ['5'], { argv0: canary, stdio: 'ignore' });
      const seen = await until(() => scanOfHost('cmdline', canary) > 0, 2000);
      plain.kill('SIGKILL');
      return {
        effect: here ? `${argvs} command lines` : 'it did not start',
        effectHolds: here && argvs === 0,
        counter: '-',
        counterHolds: true,
        control: seen ? 'found in a command line' : 'not found',
        controlHolds: seen,
      };
    },
  },
  attack({
    row: 4,
    name: "the supervisor's /proc/self",
    probe: ['comm'],
    control: ['comm', `/proc/${process.pid}/comm`],
    counted: { pathClass: 'aws' },
  }),
  attack({ row: 5, name: 'one file by many names', probe: ['aliases'], counted: { pathClass: 'aws', atLeast: 8 } }),
  attack({
    row: 6,
    name: "PID 1's fd, root, mem, maps",
    probe: ['parent-private'],
    control: ['below', 'parent-private'],
    counted: { pathClass: 'proc-other', atLeast: 6 },
  }),
  attack({
    row: 7,
    name: 'kernel files and device nodes',
    probe: ['kernel-files'],
    counted: null,
    controlNeedsRoot: true,
  }),
  {
    row: 7,
    name: "the same with a writable folder of the runner's user",
    async run(world) {
      const before = statSync('/dev/null').ctimeMs;
      const running = await world
        .start(['kernel-files', 'nodes-of-its-own'], { ownFolder: true })
        .catch((error: unknown) => (error instanceof Failure ? error : Promise.reject(error)));
      // On docker the agent never has the runner's uid when that is root's.
      const inside = running instanceof Failure ? null : await running.ended;
      const touched = statSync('/dev/null').ctimeMs !== before;
      const outside = await world.outside(['kernel-files']);
      return {
        effect: touched
          ? "the host's /dev/null was changed"
          : inside === null
            ? 'refused before the start'
            : `${inside.through.length} of ${inside.attempts} ${inside.through.join(', ')}`,
        effectHolds: (inside === null || inside.exit.code === 1) && !touched,
        counter: '-',
        counterHolds: true,
        ...controlOf(outside.through, outside.attempts, true),
      };
    },
  },
  attack({ row: 8, name: 'inherited descriptors', probe: ['descriptors'], extraFd: true, counted: null }),
  {
    row: 8,
    name: 'a working folder out of the root',
    async run(world) {
      const through: number[] = [];
      for (let fd = 3; fd <= 20; fd += 1) {
        // Refused before the agent is a fine answer too.
        const running = await world.start(['workdir'], { workdir: `/proc/self/fd/${fd}` }).catch(() => null);
        if (running !== null && (await running.ended).through.length > 0) through.push(fd);
      }
      const outside = await world.outside(['workdir', world.directory]);
      return {
        effect: through.length === 0 ? '0 of 18' : `through: ${through.join(', ')}`,
        effectHolds: through.length === 0,
        counter: '-',
        counterHolds: true,
        control: `${outside.through.length} of 1`,
        controlHolds: outside.through.length === 1,
      };
    },
  },
  attack({ row: 9, name: 'core dumps', probe: ['core'], counted: null }),
  attack({
    row: 10,
    name: 'kernel keyring',
    probe: ['keyring'],
    counted: { syscalls: ['add_key', 'keyctl', 'request_key'] },
  }),
  attack({
    row: 11,
    name: 'ptrace and its kin',
    probe: ['trace'],
    counted: { syscalls: ['ptrace', 'process_vm_readv', 'pidfd_getfd'] },
  }),
];
