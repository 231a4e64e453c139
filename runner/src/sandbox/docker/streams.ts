import { randomBytes } from 'node:crypto';
import type { Duplex, Writable } from 'node:stream';
import type { SandboxSpec } from '../backend.ts';
import { rawTerminal } from '../raw-terminal.ts';
import { hasInput } from './create.ts';
import { hijack } from './raw.ts';

/** The agent's standard streams over the engine. */
export interface Attached {
  /** All that the agent wrote has been handed on. Never rejects. */
  readonly drained: Promise<void>;
  /** `performance.now()` of the last byte that was handed on. */
  readonly lastProgress: () => number;
  readonly close: () => void;
}

/** @param broken  Called once, when the agent writes for a reader that has gone. */
export async function attach(socketPath: string, id: string, spec: SandboxSpec, broken: () => void): Promise<Attached> {
  const stdin = hasInput(spec) ? 1 : 0;
  const which = `stream=1&stdin=${stdin}&stdout=1&stderr=1&detachKeys=${unpressedKeys()}`;
  const socket = await hijack(socketPath, `/containers/${id}/attach?${which}`);
  const { streams } = spec;
  const [out, err, input] =
    streams.kind === 'piped'
      ? [streams.stdout, streams.stderr, streams.stdin === 'own' ? process.stdin : streams.stdin]
      : [process.stdout, process.stderr, process.stdin];
  let progress = performance.now();
  // Told by events: Node gives the process's own streams no state that lasts.
  const gone = new Set<NodeJS.WritableStream>();
  let told = false;
  const watched: readonly NodeJS.WritableStream[] = [out, err];
  const lost = watched.map((to) => () => void gone.add(to));
  const eachLost = (does: 'on' | 'off'): void =>
    watched.forEach((to, i) => {
      for (const event of ['error', 'close']) to[does](event, lost[i] as () => void);
    });
  eachLost('on');
  const put = async (to: NodeJS.WritableStream, bytes: Buffer): Promise<void> => {
    if (!gone.has(to)) await write(to as Writable, bytes);
    else if (!told) {
      told = true;
      broken();
    }
    progress = performance.now();
  };
  socket.on('error', () => {});
  const drained = (spec.tty ? copy(socket, (bytes) => put(out, bytes)) : demux(socket, out, err, put)).catch(() => {});
  const restore = spec.tty && streams.kind === 'inherit' ? rawTerminal() : () => {};
  const letGo = input === null ? () => {} : feed(socket, input);
  void drained.then(() => {
    eachLost('off');
    restore();
    letGo();
  });
  return { drained, lastProgress: () => progress, close: () => socket.destroy() };
}

/**
 * An engine lets go of a terminal at Ctrl-P Ctrl-Q if it is told no other keys, and keeps every Ctrl-P until it knows the next
 * one. It cannot be told none: so these begin with a byte that no text has, and go on as nobody types.
 */
const unpressedKeys = (): string => `%FF,${[...randomBytes(16).toString('hex')].join(',')}`;

async function copy(from: Duplex, put: (bytes: Buffer) => Promise<void>): Promise<void> {
  for await (const bytes of from) await put(bytes as Buffer);
}

/**
 * Frames of `[stream, 0, 0, 0, size (u32 BE)]` (Engine API, "Attach to a container"). Waits for who reads: then the engine
 * waits for us, and the agent for it, instead of all of it lying in our memory.
 */
async function demux(
  from: Duplex,
  out: NodeJS.WritableStream,
  err: NodeJS.WritableStream,
  put: (to: NodeJS.WritableStream, bytes: Buffer) => Promise<void>,
): Promise<void> {
  const header = Buffer.alloc(8);
  let have = 0;
  let left = 0;
  for await (const chunk of from) {
    let bytes = chunk as Buffer;
    while (bytes.length > 0) {
      if (left === 0) {
        const taken = bytes.copy(header, have, 0, 8 - have);
        bytes = bytes.subarray(taken);
        have += taken;
        if (have < 8) break;
        have = 0;
        left = header.readUInt32BE(4);
        continue;
      }
      const part = bytes.subarray(0, left);
      bytes = bytes.subarray(part.length);
      left -= part.length;
      await put(header[0] === 2 ? err : out, part);
    }
  }
}

/** A reader that has gone (`| head`) is no reason to stop reading: the agent's output would stand still. */
async function write(to: Writable, bytes: Buffer): Promise<void> {
  if (to.destroyed || to.writableEnded || to.write(bytes)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      for (const name of ['drain', 'close', 'error']) to.off(name, done);
      resolve();
    };
    for (const name of ['drain', 'close', 'error']) to.once(name, done);
  });
}

function feed(socket: Duplex, input: NodeJS.ReadableStream): () => void {
  input.pipe(socket);
  return () => {
    input.unpipe(socket);
    // Else an open terminal or pipe would keep the runner alive.
    if (input === process.stdin) {
      process.stdin.pause();
      process.stdin.unref?.();
    }
  };
}
