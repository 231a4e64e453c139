import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { offeredPort } from '../runner/src/edge/address.ts';
import { BODY_BYTES } from './load.ts';

export interface Nginx {
  readonly url: string;
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

/**
 * The upstream: 200 bytes from memory, to the real credential only. Anything else gets a 401,
 * which the load generator counts as an error: so every single call proves that the credential was injected.
 */
export function startUpstream(directory: string, credential: string): Promise<Nginx> {
  const body = `${'{"object":"charge","pad":"'.padEnd(BODY_BYTES - 2, '.')}"}`;
  return start(
    directory,
    (port) => `
    map $http_authorization $genuine { default 0; "${credential}" 1; }
    server {
      listen 127.0.0.1:${port} backlog=1024;
      if ($genuine = 0) { return 401 "no credential"; }
      default_type application/json;
      return 200 '${body}';
    }`,
  );
}

/** The peer that everybody knows: a reverse proxy that sets one header. */
export function startProxy(directory: string, upstream: string, credential: string): Promise<Nginx> {
  return start(
    directory,
    (port) => `
    upstream real { server ${new URL(upstream).host}; keepalive 128; keepalive_requests 1000000000; }
    server {
      listen 127.0.0.1:${port} backlog=1024;
      location / {
        proxy_pass http://real;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Authorization "${credential}";
      }
    }`,
  );
}

async function start(directory: string, http: (port: number) => string): Promise<Nginx> {
  mkdirSync(directory, { recursive: true });
  const port = await offeredPort('127.0.0.1', 0);
  const file = join(directory, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${directory}/${kind};`,
  );
  // One process: no master, so that its CPU is one number.
  writeFileSync(
    file,
    `
    daemon off;
    master_process off;
    pid ${directory}/nginx.pid;
    error_log ${directory}/error.log warn;
    events { worker_connections 1024; }
    http {
      access_log off;
      keepalive_requests 1000000000;
      keepalive_timeout 3600s;
      tcp_nodelay on;
      ${temporary.join('\n      ')}
      ${http(port)}
    }`,
  );
  const child = spawn('nginx', ['-p', directory, '-c', file, '-e', join(directory, 'error.log')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.once('error', () => {});
  process.once('exit', () => child.kill('SIGKILL'));
  const url = `http://127.0.0.1:${port}`;
  await answers(url, child);
  return {
    url,
    pid: child.pid as number,
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function answers(url: string, child: ChildProcess): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (child.exitCode !== null || child.pid === undefined) throw new Error('nginx does not start');
    try {
      await (await fetch(url)).arrayBuffer();
      return;
    } catch {
      await sleep(25);
    }
  }
  throw new Error('nginx does not answer');
}
