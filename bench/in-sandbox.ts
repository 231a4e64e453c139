import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { Backend, SandboxSpec, Trace } from '../runner/src/sandbox/backend.ts';
import { environmentOf } from '../runner/src/session/environment.ts';
import { boxFolder, makeBox } from '../runner/src/session/places.ts';
import { runnerStateAt } from '../runner/src/session/runner-state.ts';
import { makeSessionId } from '../runner/src/session/session-id.ts';

const MB = 1024 * 1024;

/** A place where sandboxes of one backend run: the library call alone, without token and edge. */
export function openPlace(backend: Backend) {
  const directory = mkdtempSync(join(tmpdir(), 'keywarden-sandbox-'));
  const egressSocket = join(directory, 'edge.sock');
  const folders: string[] = [];
  const egress = createServer((_, response) => response.end()).listen(egressSocket);

  function specOf(
    argv: readonly string[],
    stdout: NodeJS.WritableStream,
    mounts: SandboxSpec['mounts'] = [],
  ): SandboxSpec {
    const session = makeSessionId();
    // Where `keywarden run` has it.
    const folder = boxFolder(runnerStateAt(directory), session, backend.name === 'namespace');
    if (folder.startsWith(directory)) mkdirSync(dirname(dirname(folder)), { recursive: true });
    makeBox(folder);
    folders.push(folder);
    return {
      session,
      argv,
      env: environmentOf([], false),
      workdir: '/home/agent',
      mounts,
      limits: { memoryBytes: 1024 * MB, cpus: 2, pids: 256, openFiles: 1024, fileBytes: 1024 * MB, tmpBytes: 64 * MB },
      deadlineAt: Date.now() + 120_000,
      graceMs: 1000,
      folder,
      egressSocket,
      egressPort: 8787,
      streams: { kind: 'piped', stdin: null, stdout, stderr: process.stderr },
      tty: false,
      root: null,
      decoys: true,
    };
  }

  /** Runs it to its end, sweep included, and gives what it printed. */
  async function inside(argv: readonly string[], mounts: SandboxSpec['mounts'] = []): Promise<string> {
    const stdout = new PassThrough();
    let text = '';
    stdout.on('data', (chunk) => {
      text += chunk;
    });
    const spec = specOf(argv, stdout, mounts);
    const traces: Trace[] = [];
    const sandbox = await backend.start(spec, { traced: async (trace) => void traces.push(trace) });
    const exit = await sandbox.exited;
    if (exit.code !== 0) throw new Error(`${argv.join(' ')} ended with ${exit.code}`);
    await backend.sweep(spec.session, traces, spec.folder);
    rmdirSync(spec.folder);
    return text;
  }

  const close = (): void => {
    egress.close();
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
    rmSync(directory, { recursive: true, force: true });
  };
  return { directory, specOf, inside, close };
}

export const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] as number;

/** One line of the table; whether it holds. */
export function row(what: string, mine: number, other: number, most: number, unit = 'ms'): boolean {
  const ratio = mine / other;
  const figures = `${mine.toFixed(2)} ${unit} | ${other.toFixed(2)} ${unit} | ${ratio.toFixed(2)}`;
  console.log(`| ${what} | ${figures} | ${most} | ${ratio <= most ? 'PASS' : '**FAIL**'} |`);
  return ratio <= most;
}

export const TABLE_HEAD =
  '| what | in the sandbox | beside it | ratio | at most | |\n| --- | --: | --: | --: | --: | --- |';
