import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dockerBackend } from '../../src/sandbox/docker/backend.ts';
import { SESSION_LABEL } from '../../src/sandbox/docker/engine.ts';
import { defaultImage } from '../../src/sandbox/docker/image.ts';
import { makeSessionId } from '../../src/session/session-id.ts';
import { Place } from '../sandbox/support/sandboxed.ts';
import { isAlive, OwnEngine, until } from './support/engine.ts';

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

describe('the end', () => {
  it('of twenty sessions at once leaves nothing', async () => {
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, i) => place.shell(`echo ${i}; exit ${i}`, { timeoutMs: 120_000 })),
    );
    expect(all.map(({ stdout, exit }) => [stdout, exit.code])).toEqual(
      Array.from({ length: 20 }, (_, i) => [`${i}\n`, i]),
    );
    expect(all.flatMap(({ left }) => left)).toEqual([]);
    expect(await engine.api.listContainers({ all: true })).toEqual([]);
  });

  it('is told as what it was: a signal, the deadline, an outside kill, memory', async () => {
    const own = await place.shell('kill -TERM $$');
    expect(own.exit).toEqual({ code: 143, signal: 'SIGTERM', outOfMemory: false });
    const late = await place.shell('trap "" TERM; while :; do sleep 1; done', { timeoutMs: 4_000 });
    expect(late.exit).toMatchObject({ signal: 'SIGKILL', outOfMemory: false });
    const { session, ended } = await place.start(['sleep', '60']);
    const [id] = await engine.containersOf(session);
    await engine.api.getContainer(id ?? '').kill();
    expect((await ended).exit).toEqual({ code: 137, signal: 'SIGKILL', outOfMemory: false });
    const hungry = await place.python('x = bytearray(900 << 20)');
    expect(hungry.exit).toEqual({ code: 137, signal: 'SIGKILL', outOfMemory: true });
  });

  it('of a child for memory is no end of the agent', async () => {
    const ran = await place.shell('python3 -c "x = bytearray(900 << 20)"; echo $?; exit 0');
    expect(ran).toMatchObject({ stdout: '137\n', exit: { code: 0, signal: null, outOfMemory: false } });
  });

  it('of a runner that is killed leaves nothing, without any sweep (B61)', async () => {
    const session = makeSessionId();
    const folder = join(place.directory, session);
    mkdirSync(folder, { mode: 0o700 });
    const script = join(folder, 'runner.ts');
    const here = (path: string): string => new URL(`../../${path}`, import.meta.url).href;
    writeFileSync(
      script,
      `import { dockerBackend } from '${here('src/sandbox/docker/backend.ts')}';
       await dockerBackend(${JSON.stringify(engine.socket)}).start({
         session: '${session}', argv: ['sh', '-c', 'trap "" TERM HUP; while :; do sleep 1; done'], env: { PATH: '/usr/bin:/bin' },
         workdir: '/', mounts: [], deadlineAt: Date.now() + 60_000, graceMs: 500, folder: ${JSON.stringify(folder)},
         limits: { memoryBytes: 1 << 28, cpus: 1, pids: 64, openFiles: 256, fileBytes: 1 << 20, tmpBytes: 1 << 20 },
         egressSocket: ${JSON.stringify(join(place.directory, 'edge.sock'))}, egressPort: 8787, tty: false, root: null, decoys: true,
         streams: { kind: 'piped', stdin: null, stdout: process.stdout, stderr: process.stderr },
       }, { traced: async () => {} });
       console.log('started');`,
    );
    const runner = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise<void>((resolve) => runner.stdout.on('data', (text) => /started/.test(text) && resolve()));
    expect(await engine.containersOf(session)).toHaveLength(1);
    runner.kill('SIGKILL');
    await until(async () => (await engine.containersOf(session)).length === 0, 5_000);
    const left = await place.backend.leftovers(session, [], folder);
    expect(left.filter(({ kind }) => kind !== 'file' && kind !== 'socket')).toEqual([]);
    await place.backend.sweep(session, [], folder);
    expect(await place.backend.leftovers(session, [], folder)).toEqual([]);
  });
});

describe('a sweep', () => {
  it('finds what was only half made, and no neighbour (B64, B66)', async () => {
    const neighbour = await place.start(['sleep', '60']);
    const session = makeSessionId();
    const Labels = { [SESSION_LABEL]: session };
    const longer = { [SESSION_LABEL]: `${session}x` };
    const made = await engine.api.createContainer({
      Image: defaultImage(),
      Cmd: ['true'],
      Labels,
      HostConfig: { NetworkMode: 'none' },
    });
    const other = await engine.api.createContainer({
      Image: defaultImage(),
      Cmd: ['true'],
      name: session,
      Labels: longer,
      HostConfig: { NetworkMode: 'none' },
    });
    await engine.api.createVolume({ Name: `${session}-v`, Labels });
    const folder = join(place.directory, session);
    const before = await place.backend.leftovers(session, [], folder);
    expect(before.map(({ kind }) => kind).sort()).toEqual(['container', 'volume']);
    await place.backend.sweep(session, [{ kind: 'container', id: made.id, host: engine.socket }], folder);
    expect(await place.backend.leftovers(session, [], folder)).toEqual([]);
    expect((await other.inspect()).Id).toBe(other.id);
    expect(await engine.containersOf(neighbour.session)).toHaveLength(1);
    await other.remove();
    await neighbour.sandbox.kill();
    await neighbour.ended;
  });

  it('ends an orphan that runs, and its supervisor', async () => {
    const { session, traces, folder, sandbox } = await place.start(['sleep', '60']);
    await place.backend.sweep(session, traces, folder);
    expect(await place.backend.leftovers(session, traces, folder)).toEqual([]);
    await expect(sandbox.exited).resolves.toMatchObject({ signal: 'SIGKILL' });
  });
});

describe('an engine that goes away in mid-session (B63)', () => {
  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'by %s ends the session, saying so; when it is back nothing is left',
    async (signal) => {
      const { session, sandbox, traces, folder, ended } = await place.start(['sleep', '60']);
      ended.catch(() => {});
      const supervisor = traces.find((trace) => trace.kind === 'process')?.pid ?? 0;
      expect(isAlive(supervisor)).toBe(true);
      const settled = sandbox.exited.then(
        () => null,
        (error: Error) => error.message,
      );
      await engine.end(signal);
      await sleep(500);
      expect(isAlive(supervisor)).toBe(false);
      await engine.startAgain();
      expect(await settled).toMatch(/the container engine went away in mid-session/);
      await place.backend.sweep(session, traces, folder);
      expect(await place.backend.leftovers(session, traces, folder)).toEqual([]);
      expect(await engine.api.listContainers({ all: true })).toEqual([]);
      expect((await place.shell('echo again')).stdout).toBe('again\n');
    },
  );
});
