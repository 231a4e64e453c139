import { type IncomingMessage, request } from 'node:http';
import type { Duplex } from 'node:stream';
import { json } from 'node:stream/consumers';

/** Two kinds of requests that dockerode has no careful form for. */

/**
 * Attaches: the connection becomes the container's streams. dockerode sends a JSON body before, which the engine does not read
 * as one: what of it arrives late is input of the agent.
 */
export function hijack(socketPath: string, path: string): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const headers = { connection: 'Upgrade', upgrade: 'tcp', 'content-length': '0' };
    const asked = request({ socketPath, path, method: 'POST', headers, agent: false });
    asked.once('upgrade', (_answer, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    asked.once('response', (answer) => refuse(answer).catch(reject));
    asked.once('error', reject);
    asked.end();
  });
}

/** Resolves with the headers: by then the engine watches, and what is awaited cannot be missed. */
export function open(socketPath: string, method: 'GET' | 'POST', path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-length': '0' };
    const asked = request({ socketPath, path, method, headers, agent: false });
    asked.once('response', (answer) => (answer.statusCode === 200 ? resolve(answer) : refuse(answer).catch(reject)));
    asked.once('error', reject);
    asked.end();
  });
}

async function refuse(answer: IncomingMessage): Promise<never> {
  const said = (await json(answer).catch(() => null)) as { message?: string } | null;
  throw Object.assign(new Error(said?.message ?? `HTTP ${answer.statusCode}`), { statusCode: answer.statusCode });
}
