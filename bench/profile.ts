/**
 * Where does Keywarden's CPU time go under load?
 *
 *   node bench/profile.ts [--connections 16] [--seconds 4] [--out FILE.cpuprofile]
 *
 * Takes a sampling profile of the Worker's isolate (the Durable Object's code is in the same one) over workerd's
 * inspector, prints the dearest functions by self time and with all they call, and writes a file for Chrome DevTools.
 * What is outside JavaScript stands as `(program)` here: `perf top -p PID` sees that.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { offeredPort } from '../runner/src/edge/address.ts';
import { CREDENTIAL, OPERATIONS } from './contenders.ts';
import { cpuSecondsOf, untilIdle } from './cpu.ts';
import { build, startKeywarden } from './keywarden.ts';
import { load } from './load.ts';
import { checkAnswer } from './measure.ts';
import { startUpstream } from './nginx.ts';

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly children?: readonly number[];
    readonly callFrame: { readonly functionName: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '16' },
    seconds: { type: 'string', default: '4' },
    out: { type: 'string', default: 'keywarden.cpuprofile' },
  },
});
const directory = mkdtempSync(join(tmpdir(), 'keywarden-profile-'));
const upstream = await startUpstream(join(directory, 'upstream'), CREDENTIAL);
const inspectorPort = await offeredPort('127.0.0.1', 0);
const keywarden = await startKeywarden(await build(directory, upstream.url, OPERATIONS), join(directory, 'storage'), {
  inspectorPort,
});
try {
  await checkAnswer('keywarden', keywarden.target);
  await load(keywarden.target, Number(values.connections), 2);
  await untilIdle([keywarden.pid]);
  console.error(`profile: workerd is process ${keywarden.pid}`);
  const inspector = await openInspector(inspectorPort);
  await inspector.send('Profiler.enable');
  await inspector.send('Profiler.setSamplingInterval', { interval: 200 });
  await inspector.send('Profiler.start');
  const before = cpuSecondsOf([keywarden.pid]);
  const seen = await load(keywarden.target, Number(values.connections), Number(values.seconds));
  const { profile } = (await inspector.send('Profiler.stop')) as { profile: Profile };
  const cpu = cpuSecondsOf([keywarden.pid]) - before;
  inspector.close();
  writeFileSync(values.out, JSON.stringify(profile));
  console.log(
    `${seen.requests} requests, ${(seen.requests / seen.seconds).toFixed(0)}/s, ${((cpu * 1e6) / seen.requests).toFixed(0)} CPU µs each while profiled`,
  );
  console.log(dearestOf(profile, seen.requests, 45));
} finally {
  await keywarden.stop();
  await upstream.stop();
  rmSync(directory, { recursive: true, force: true });
}

interface Inspector {
  send: (method: string, params?: object) => Promise<unknown>;
  close: () => void;
}

async function openInspector(port: number): Promise<Inspector> {
  const targets = (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as { webSocketDebuggerUrl: string }[];
  const url = targets[0]?.webSocketDebuggerUrl;
  if (url === undefined) throw new Error('the inspector offers no target');
  const socket = new WebSocket(url);
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  socket.addEventListener('message', ({ data }) => {
    const { id, result, error } = JSON.parse(String(data)) as {
      id?: number;
      result?: unknown;
      error?: { message: string };
    };
    const waiter = id === undefined ? undefined : waiting.get(id);
    if (id !== undefined) waiting.delete(id);
    if (error === undefined) waiter?.resolve(result);
    else waiter?.reject(new Error(error.message));
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true });
    socket.addEventListener('error', () => reject(new Error('the inspector does not answer')), { once: true });
  });
  let next = 0;
  return {
    send: (method, params = {}) =>
      new Promise((resolve, reject) => {
        const id = ++next;
        waiting.set(id, { resolve, reject });
        socket.send(JSON.stringify({ id, method, params }));
      }),
    close: () => socket.close(),
  };
}

/** Microseconds of wall time a request, by function, most first: alone, and with all that it calls. */
function dearestOf({ nodes, samples, timeDeltas }: Profile, requests: number, count: number): string {
  const nameOf = new Map(
    nodes.map(({ id, callFrame }) => [id, `${callFrame.functionName || '(anonymous)'}:${callFrame.lineNumber + 1}`]),
  );
  const parentOf = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const alone = new Map<string, number>();
  const withCallees = new Map<string, number>();
  const add = (to: Map<string, number>, name: string, micros: number): void =>
    void to.set(name, (to.get(name) ?? 0) + micros);
  for (const [i, sampled] of samples.entries()) {
    const micros = timeDeltas[i] ?? 0;
    const stack = new Set<string>();
    for (let id: number | undefined = sampled; id !== undefined; id = parentOf.get(id))
      stack.add(nameOf.get(id) ?? '?');
    add(alone, nameOf.get(sampled) ?? '?', micros);
    for (const name of stack) add(withCallees, name, micros);
  }
  const listOf = (times: Map<string, number>): string =>
    [...times]
      .sort((a, b) => b[1] - a[1])
      .slice(0, count)
      .map(([name, sum]) => `${(sum / requests).toFixed(1).padStart(8)} µs  ${name}`)
      .join('\n');
  return `alone\n${listOf(alone)}\n\nwith all they call\n${listOf(withCallees)}`;
}
