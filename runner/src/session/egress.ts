import { chmodSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Egress } from './run-session.ts';
import type { SessionEdge } from './session-edge.ts';

/** The only way out: HTTP on a unix socket, to the edge and nowhere else. Without an edge it says so. */
export async function openEgress(socket: string, edge: SessionEdge | null): Promise<Egress> {
  const target = edge === null ? null : new URL(edge.url);
  const server = createServer((incoming, outgoing) => {
    if (target === null) {
      outgoing.writeHead(503, { 'content-type': 'text/plain' }).end('this sandbox has no edge\n');
      return;
    }
    const send = target.protocol === 'https:' ? httpsRequest : httpRequest;
    const upstream = send(
      {
        hostname: target.hostname,
        port: target.port,
        method: incoming.method,
        path: incoming.url,
        headers: { ...incoming.headers, host: target.host },
      },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      },
    );
    upstream.on('error', () => outgoing.destroy());
    outgoing.on('close', () => upstream.destroy());
    incoming.pipe(upstream);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socket, resolve);
  });
  chmodSync(socket, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
