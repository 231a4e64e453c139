import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What answers in an edge's place: for answers that a true edge gives only when somebody has tampered with it. */
export interface FakeEdge {
  /** How the command line finds it. */
  readonly env: { readonly KEYWARDEN_URL: string; readonly KEYWARDEN_OPERATOR_KEY: string };
  readonly asked: URL[];
  /** A text as it is, anything else as JSON. */
  answer(path: string, body: unknown, status?: number): void;
  stop(): void;
}

/** An answer that begins, and then the connection is gone. */
export const BREAKS_OFF = Symbol('breaks off');

export async function startFakeEdge(): Promise<FakeEdge> {
  const answers = new Map<string, { readonly body: unknown; readonly status: number }>();
  const asked: URL[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://edge');
    asked.push(url);
    const { body, status } = answers.get(url.pathname) ?? { body: {}, status: 404 };
    response.writeHead(status);
    if (body === BREAKS_OFF) response.write('{"half', () => response.destroy());
    else response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    env: { KEYWARDEN_URL: `http://127.0.0.1:${port}`, KEYWARDEN_OPERATOR_KEY: `kwop_${'k'.repeat(43)}` },
    asked,
    answer: (path, body, status = 200) => void answers.set(path, { body, status }),
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
