import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dockerBackend } from '../../src/sandbox/docker/backend.ts';
import { makeSessionId } from '../../src/session/session-id.ts';

/** A daemon that is stopped (SIGSTOP), or waits for its disk: its socket takes every connection, and nobody answers. */
const directory = mkdtempSync(join(tmpdir(), 'keywarden-silent-'));
const socket = join(directory, 'docker.sock');
const open: Socket[] = [];
let engine: Server;
beforeAll(async () => {
  engine = createServer((one) => void open.push(one)).listen(socket);
  await new Promise((resolve) => engine.once('listening', resolve));
});
afterAll(() => {
  for (const one of open) one.destroy();
  engine.close();
  rmSync(directory, { recursive: true });
});

it('an engine that does not answer keeps no run from its refusal, and no session from its end', async () => {
  const backend = dockerBackend(socket, 100);
  const layers = await backend.layers();
  expect(layers.find(({ name }) => name === 'engine')).toMatchObject({ present: false, required: true });
  const container = { kind: 'container', id: 'f'.repeat(64), host: socket } as const;
  const [session, folder] = [makeSessionId(), join(directory, 'box')];
  await expect(backend.sweep(session, [container], folder)).rejects.toThrow();
  await expect(backend.leftovers(session, [container], folder)).rejects.toThrow();
});
