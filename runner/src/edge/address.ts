import { createServer } from 'node:net';
import { Failure } from '../failure.ts';
import { codeOf } from '../state/private-file.ts';

/** @returns whether somebody may listen there now; for port 0 the port that the system offers. */
export function offeredPort(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error) => reject(failureOf(error, host, port)));
    probe.listen({ host, port, exclusive: true }, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port));
    });
  });
}

function failureOf(error: Error, host: string, port: number): Failure {
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return new Failure(`port ${port} on ${host} is in use`, 'choose another: --port 0 takes any free one');
    case 'EACCES':
      return new Failure(`may not listen on port ${port}`, 'ports below 1024 need root: choose a higher --port');
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new Failure(`${host} is no address of this machine`, 'leave --host out for 127.0.0.1');
    default:
      return new Failure(`cannot listen on ${host}:${port}: ${error.message}`);
  }
}

export function urlOf(host: string, port: number): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127\./.test(host);
