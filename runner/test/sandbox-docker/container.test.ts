import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { release, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SandboxSpec } from '../../src/sandbox/backend.ts';
import { dockerBackend } from '../../src/sandbox/docker/backend.ts';
import { socketOf } from '../../src/sandbox/docker/engine.ts';
import { countOf, Place } from '../sandbox/support/sandboxed.ts';
import { keywarden } from '../session/support/command.ts';
import { OwnEngine } from './support/engine.ts';

let engine: OwnEngine;
let place: Place;
beforeAll(() => {
  engine = new OwnEngine();
  place = new Place(dockerBackend(engine.socket));
});
afterAll(() => {
  place.close();
  engine.stop();
});

describe('a container', () => {
  it('is as the plan says, word for word, and holds no secret (B3)', async () => {
    const { session, folder, sandbox, ended } = await place.start(['sleep', '30'], { env: { SECRET: 'CANARY-7731' } });
    const [id] = await engine.containersOf(session);
    const seen = await engine.api.getContainer(id ?? '').inspect();
    expect(JSON.stringify(seen)).not.toContain('CANARY-7731');
    const steps = await place.backend.plan({ ...planned(session, folder), argv: ['sleep', '30'] });
    const request = steps.find((step) => step.does.startsWith('POST /containers/create'))?.request as typeof seen;
    expect(seen.HostConfig).toMatchObject({
      ...request.HostConfig,
      Tmpfs: expect.anything(),
      Mounts: expect.anything(),
    });
    expect(seen.HostConfig.Tmpfs).toEqual(request.HostConfig.Tmpfs);
    expect(seen.HostConfig.Mounts).toHaveLength(request.HostConfig.Mounts?.length ?? -1);
    expect(seen.HostConfig).toMatchObject({
      NetworkMode: 'none',
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      Privileged: false,
      IpcMode: 'private',
      AutoRemove: true,
      LogConfig: { Type: 'none' },
    });
    await sandbox.kill();
    expect((await ended).left).toEqual([]);
  });

  it.each(['/tmp', '/home/agent', '/home/agent/.config', '/home'])(
    'starts with a folder of yours as its %s, as the other backend does, and nothing of ours is made in there',
    async (destination) => {
      const source = mkdtempSync(join(place.directory, 'mine-'));
      chmodSync(source, 0o777);
      const { dev, ino } = statSync(source, { bigint: true });
      const mounts = [{ source, destination, writable: true, identity: `${dev}:${ino}` }];
      const ran = await place.shell(`echo mine > ${destination}/file; ls -A ${destination}; stat -f -c %T /tmp`, {
        mounts,
        workdir: destination,
      });
      expect(ran, ran.stderr).toMatchObject({ exit: { code: 0 }, stdout: expect.stringMatching(/^file\n/) });
      expect(readdirSync(source)).toEqual(['file']);
      // Elsewhere everything is as ever.
      if (destination !== '/tmp') expect(ran.stdout).toBe('file\ntmpfs\n');
    },
  );

  it('has its limits in the kernel', async () => {
    const file = (group: string, name: string): string =>
      `cat /sys/fs/cgroup/${group}/${name} /sys/fs/cgroup/${name} 2>/dev/null`;
    const ran = await place.shell(
      `${file('memory', 'memory.limit_in_bytes')}; cat /sys/fs/cgroup/memory.max 2>/dev/null
       ${file('pids', 'pids.max')}; ${file('cpu', 'cpu.cfs_quota_us')}; cat /sys/fs/cgroup/cpu.max 2>/dev/null
       ulimit -c; ulimit -n; ulimit -Hn`,
      {
        limits: { memoryBytes: 128 << 20, cpus: 0.5, pids: 40, openFiles: 300, fileBytes: 1 << 20, tmpBytes: 1 << 20 },
      },
    );
    expect(ran.stdout.replaceAll(/50000 100000/g, '50000').split('\n')).toEqual([
      String(128 << 20),
      '42',
      '50000',
      '0',
      '300',
      '300',
      '',
    ]);
  });

  it('shows the sizes and flags of its tmpfs', async () => {
    const ran = await place.shell('grep -E " (/tmp|/home/agent|/home/agent/.config|/dev/shm) " /proc/self/mounts');
    const lines = ran.stdout.trim().split('\n');
    expect(lines).toHaveLength(4);
    for (const line of lines) {
      expect(line).toMatch(/nosuid/);
      expect(line).toMatch(/nodev/);
      expect(line).toMatch(/size=16384k/);
    }
    expect(lines.find((line) => line.includes(' /tmp '))).toMatch(/noexec/);
  });

  it("does not learn the host's resolvers, kernel options or keys", async () => {
    const ran = await place.shell(
      'cat /etc/resolv.conf; cat /proc/keys /proc/kcore 2>/dev/null | head -c 10; uname -r',
    );
    expect(ran.stdout).toBe(`${release()}\n`);
  });

  it('counts a denied open of the credentials, and runs a program from the home but not from /tmp (B24)', async () => {
    const ran = await place.shell(
      'cat ~/.aws/credentials; cp /bin/true ~/t; ~/t; echo $?; cp /bin/true /tmp/t; /tmp/t 2>/dev/null; echo $?',
    );
    expect(ran.stdout).toBe('0\n126\n');
    expect(countOf(ran.counters, 'denied', 'aws', 'openat')).toBe(1);
  });

  it('runs as who owns the writable mount; what nobody could write to is refused', async () => {
    const work = mkdtempSync(join(place.directory, 'work-'));
    const mounts = [{ source: work, destination: '/work', writable: true }];
    await expect(place.run(['true'], { mounts })).rejects.toThrow(/could not write to/);
    chownSync(work, 12345, 12345);
    const ran = await place.shell('id -u; id -un; echo x > /work/f && cat /work/f', { mounts });
    expect(ran.stdout).toBe('12345\nagent\nx\n');
    expect(readFileSync(join(work, 'f'), 'utf8')).toBe('x\n');
  });

  it('leaves out what is mounted below a read-only source; nothing is mounted over the walls', async () => {
    const work = mkdtempSync(join(place.directory, 'work-'));
    chmodSync(work, 0o755);
    mkdirSync(join(work, 'a'));
    writeFileSync(join(work, 'a', 'f'), 'seen');
    const read = await place.shell('cat /work/a/f; touch /work/x 2>&1 | grep -c Read-only', {
      mounts: [{ source: work, destination: '/work', writable: false }],
    });
    expect(read.stdout).toBe('seen1\n');
    const over = { source: work, destination: '/proc', writable: false };
    await expect(place.run(['true'], { mounts: [over] })).rejects.toThrow(/nothing can be mounted/);
  });
});

describe('what is missing', () => {
  it('an image: the start is refused with its mend, and nothing is left', async () => {
    await expect(place.run(['true'], { root: 'keywarden/none:1' })).rejects.toMatchObject({
      message: expect.stringMatching(/no image keywarden\/none:1/),
      hints: [expect.stringContaining('sandbox-image.ts')],
    });
  });

  it('an engine: a layer says so, and what to do', async () => {
    const layers = await dockerBackend('/nowhere/docker.sock').layers();
    expect(layers.find(({ name }) => name === 'engine')).toMatchObject({
      present: false,
      required: true,
      mend: expect.stringContaining('apt-get install docker.io'),
    });
  });

  it('nothing, on this engine', async () => {
    const layers = await place.backend.layers();
    expect(layers.filter(({ present }) => !present)).toEqual([]);
    expect(layers.length).toBeGreaterThan(10);
  });

  it('an engine on another machine is refused by name', () => {
    expect(() => socketOf({ DOCKER_HOST: 'tcp://me:pw@10.0.0.1:2375' })).toThrow(/DOCKER_HOST is tcp:\/\/10/);
    expect(socketOf({ DOCKER_HOST: 'unix:///x/y.sock' })).toBe('/x/y.sock');
  });
});

const NOBODY = 65_534;

describe.skipIf(process.getuid?.() !== 0)('a user other than root whom the socket lets in', () => {
  it('has a session of their own: their files stay theirs, opens are counted, and nothing is left', async () => {
    const home = mkdtempSync(join(tmpdir(), 'keywarden-ordinary-'));
    try {
      mkdirSync(join(home, 'work'));
      for (const path of [home, join(home, 'work')]) chownSync(path, NOBODY, NOBODY);
      for (const above of [dirname(engine.socket), dirname(dirname(engine.socket))]) chmodSync(above, 0o711);
      chownSync(engine.socket, 0, NOBODY);
      const agent = 'id -u; cat ~/.aws/credentials 2>/dev/null; echo made > /work/file; exit 5';
      const options = ['--backend', 'docker', '--mount', `${home}/work:/work:rw`, '--state', join(home, 'state')];
      const said = await keywarden(['run', '--no-edge', '--quiet', '--json', ...options, '--', 'sh', '-c', agent], {
        uid: NOBODY,
        env: { DOCKER_HOST: `unix://${engine.socket}`, HOME: home, TMPDIR: home },
      });
      expect(said, said.err).toMatchObject({ code: 5, out: `${NOBODY}\n` });
      expect(JSON.parse(said.err.trim().split('\n').at(-1) ?? '')).toMatchObject({
        denied: 1,
        sources: ['seccomp-notify'],
        absence_proven: true,
      });
      expect(statSync(join(home, 'work', 'file')).uid).toBe(NOBODY);
      expect(await engine.api.listContainers({ all: true })).toEqual([]);
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });
});

/** As `Place` starts it. */
function planned(session: string, folder: string): SandboxSpec {
  const MB = 1024 * 1024;
  return {
    session,
    argv: [],
    env: { SECRET: '[SECRET]' },
    workdir: '/home/agent',
    mounts: [],
    limits: { memoryBytes: 512 * MB, cpus: 2, pids: 128, openFiles: 512, fileBytes: 64 * MB, tmpBytes: 16 * MB },
    deadlineAt: Date.now() + 60_000,
    graceMs: 500,
    folder,
    egressSocket: join(place.directory, 'edge.sock'),
    egressPort: 8787,
    streams: { kind: 'piped', stdin: null, stdout: process.stdout, stderr: process.stderr },
    tty: false,
    root: null,
    decoys: true,
  };
}
