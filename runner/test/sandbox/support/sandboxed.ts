import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import type { Backend, Counters, Exit, Leftover, Sandbox, SandboxSpec, Trace } from '../../../src/sandbox/backend.ts';
import { environmentOf } from '../../../src/session/environment.ts';
import { makeSessionId } from '../../../src/session/session-id.ts';

const MB = 1024 * 1024;

/** What a sandbox said and how it ended. */
export interface Ran {
  readonly exit: Exit;
  readonly stdout: string;
  readonly stderr: string;
  readonly counters: Counters;
  readonly left: readonly Leftover[];
}

export interface Started {
  readonly sandbox: Sandbox;
  readonly session: string;
  readonly traces: readonly Trace[];
  readonly folder: string;
  readonly ended: Promise<Ran>;
}

export type Changes = Partial<Omit<SandboxSpec, 'argv' | 'session' | 'folder' | 'streams' | 'env'>> & {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly timeoutMs?: number;
};

/** A place for sandboxes, with an edge of a kind behind the only way out. */
export class Place {
  readonly directory = mkdtempSync(join(tmpdir(), 'keywarden-sandbox-'));
  readonly backend: Backend;
  readonly asked: string[] = [];
  readonly #edge: Server;

  constructor(backend: Backend) {
    this.backend = backend;
    this.#edge = createServer((request, response) => {
      this.asked.push(`${request.method} ${request.url}`);
      response.end('from the edge\n');
    }).listen(join(this.directory, 'edge.sock'));
  }

  async start(argv: readonly string[], { env, stdin, timeoutMs, ...changes }: Changes = {}): Promise<Started> {
    const session = makeSessionId();
    const folder = join(this.directory, session);
    mkdirSync(folder, { mode: 0o700 });
    const out = collect();
    const error = collect();
    const traces: Trace[] = [];
    const spec: SandboxSpec = {
      session,
      argv,
      env: { ...environmentOf([], true), ...env },
      workdir: '/home/agent',
      mounts: [],
      limits: { memoryBytes: 512 * MB, cpus: 2, pids: 128, openFiles: 512, fileBytes: 64 * MB, tmpBytes: 16 * MB },
      deadlineAt: Date.now() + (timeoutMs ?? 60_000),
      graceMs: 500,
      folder,
      egressSocket: join(this.directory, 'edge.sock'),
      egressPort: 8787,
      streams: {
        kind: 'piped',
        stdin: stdin === undefined ? null : Readable.from([stdin]),
        stdout: out.stream,
        stderr: error.stream,
      },
      tty: false,
      root: null,
      decoys: true,
      ...changes,
    };
    const sandbox = await this.backend.start(spec, { traced: async (trace) => void traces.push(trace) });
    const ended = sandbox.exited.then(async (exit) => {
      await this.backend.sweep(session, traces, folder);
      const left = await this.backend.leftovers(session, traces, folder);
      return { exit, stdout: out.text(), stderr: error.text(), counters: sandbox.counters(), left };
    });
    return { sandbox, session, traces, folder, ended };
  }

  async run(argv: readonly string[], changes: Changes = {}): Promise<Ran> {
    return (await this.start(argv, changes)).ended;
  }

  shell = (script: string, changes: Changes = {}): Promise<Ran> => this.run(['sh', '-c', script], changes);
  python = (script: string, changes: Changes = {}): Promise<Ran> => this.run(['python3', '-c', script], changes);

  close(): void {
    this.#edge.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function collect(): { stream: PassThrough; text: () => string } {
  const stream = new PassThrough();
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  return { stream, text: () => text };
}

export const countOf = (counters: Counters, kind: 'denied' | 'observed', pathClass: string, syscall?: string): number =>
  counters[kind]
    .filter((row) => row.pathClass === pathClass && (syscall === undefined || row.syscall === syscall))
    .reduce((sum, row) => sum + row.count, 0);

export const blockedOf = (counters: Counters, syscall: string): number =>
  counters.blocked.find((row) => row.syscall === syscall)?.count ?? 0;
