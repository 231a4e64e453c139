import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Dev, descendants, dev, isAlive, keywarden, oldNode, scratch, until } from './command-line.ts';
import { WIDGETS_KEY, widgetPolicy } from './policies.ts';

let place: ReturnType<typeof scratch>;
let upstream: Server;
let running: Dev[] = [];

beforeEach(async () => {
  place = scratch();
  upstream = createServer((_req, res) =>
    res.writeHead(200, { 'content-type': 'application/json' }).end('{"widgets":3}'),
  );
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  place.file('policies/widgets.yaml', widgetPolicy(origin()));
  place.file('vars.env', `WIDGETS_KEY=${WIDGETS_KEY}\n`);
});
afterEach(async () => {
  await Promise.all(running.map((edge) => edge.stop('SIGTERM')));
  running = [];
  upstream.close();
  place.remove();
});

const origin = (): string => `http://127.0.0.1:${(upstream.address() as { port: number }).port}`;
const start = async (node?: string, env: Record<string, string> = {}): Promise<Dev> => {
  const options = { cwd: place.path, env, ...(node === undefined ? {} : { node }) };
  const edge = await dev(['--policies', 'policies', '--vars', 'vars.env'], join(place.path, 'state'), options);
  running.push(edge);
  return edge;
};
const workerdOf = (edge: Dev): number => descendants(edge.child.pid ?? 0, 'workerd serve')[0] ?? 0;
const services = async (edge: Dev): Promise<unknown> =>
  ((await (await fetch(`${edge.url}/healthz`)).json()) as { services: unknown }).services;

describe('keywarden dev serves', () => {
  it('and says that without agents.yaml any agent may hold anything', async () => {
    const edge = await start();
    expect((await fetch(`${edge.url}/healthz`)).status).toBe(200);
    expect(edge.said()).toContain('no agents.yaml: any agent may hold anything (dev only)');
  });

  it('for whoever has no home, or one that is read-only, and tells no other worker on this host of itself', async () => {
    place.file('home/kept', '', 0o600);
    const home = join(place.path, 'home');
    const edge = await start(undefined, { HOME: home });
    expect(readdirSync(home)).toEqual(['kept']);
    // The debug port of workerd would open the Durable Objects and D1 to everybody on this host, past the Worker.
    const [workerd = 0] = descendants(edge.child.pid ?? 0, 'workerd serve');
    expect(readFileSync(`/proc/${workerd}/cmdline`, 'utf8')).not.toContain('--debug-port');
    await edge.stop();
    expect((await start(undefined, { HOME: '/proc/nowhere' })).url).toMatch(/^http:/);
  });

  it('with keys of mode 0600 in a directory of mode 0700, secrets in none of its files', async () => {
    const { stateDir } = await start();
    expect(statSync(stateDir).mode & 0o777).toBe(0o700);
    for (const name of ['operator.key', 'signing.jwk', 'edge.json'])
      expect(statSync(join(stateDir, name)).mode & 0o777).toBe(0o600);
    const files = readdirSync(stateDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    for (const file of files) expect(readFileSync(join(file.parentPath, file.name)).includes(WIDGETS_KEY)).toBe(false);
  });

  it('the raw request target, not one that the way there has tidied up', async () => {
    const edge = await start();
    // Tidied up on the way, this would be the healthy page.
    expect(await raw(edge, 'GET /x/../healthz HTTP/1.1')).not.toMatch(/^HTTP\/1\.1 200 /);
    expect(await raw(edge, 'GET /healthz HTTP/1.1')).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('and keeps its keys and its port file across restarts', async () => {
    const first = await start();
    const key = readFileSync(join(first.stateDir, 'operator.key'), 'utf8');
    expect(await first.stop('SIGINT')).toBe(0);
    const second = await start();
    expect(readFileSync(join(second.stateDir, 'operator.key'), 'utf8')).toBe(key);
    expect(second.said()).not.toContain('made ');
  });
});

describe('keywarden dev reloads', () => {
  it('a new policy and a new secret; a bad edit keeps the old ones and is told', async () => {
    const edge = await start();
    place.file('vars.env', `WIDGETS_KEY=${WIDGETS_KEY}\nGADGETS_KEY=gk_canary_77a1c2e90b\n`);
    place.file(
      'policies/gadgets.yaml',
      widgetPolicy(origin()).replace('widgets\n', 'gadgets\n').replace('WIDGETS_KEY', 'GADGETS_KEY'),
    );
    await until(async () => JSON.stringify(await services(edge).catch(() => null)) === '["gadgets","widgets"]');
    place.file('policies/gadgets.yaml', 'service: [');
    await until(() => /not reloaded.*policies\/gadgets\.yaml:1:\d+/s.test(edge.said()));
    expect(await services(edge)).toEqual(['gadgets', 'widgets']);
    rmSync(join(place.path, 'policies/gadgets.yaml'));
    await until(async () => JSON.stringify(await services(edge).catch(() => null)) === '["widgets"]');
  });

  it('a new policy, with the secrets that a pipe gave once', async () => {
    const pipe = join(place.path, 'secrets');
    execFileSync('mkfifo', [pipe]);
    const writer = spawn('sh', ['-c', `echo WIDGETS_KEY=${WIDGETS_KEY} > ${pipe}`]);
    const edge = await dev(['--policies', 'policies', '--vars', pipe], join(place.path, 'state'), { cwd: place.path });
    running.push(edge);
    expect(writer.exitCode).toBe(0);
    place.file('policies/gadgets.yaml', widgetPolicy(origin()).replace('widgets\n', 'gadgets\n'));
    await until(async () => JSON.stringify(await services(edge).catch(() => null)) === '["gadgets","widgets"]');
  });

  it('a policy in a folder below, new, changed and removed', async () => {
    const edge = await start();
    const gadgets = widgetPolicy(origin()).replace('service: widgets', 'service: gadgets');
    place.file('policies/team/gadgets.yaml', gadgets);
    await until(async () => JSON.stringify(await services(edge).catch(() => null)) === '["gadgets","widgets"]');
    place.file('policies/team/gadgets.yaml', 'service: [');
    await until(() => /not reloaded.*policies\/team\/gadgets\.yaml:1:\d+/s.test(edge.said()));
    rmSync(join(place.path, 'policies/team'), { recursive: true });
    await until(async () => JSON.stringify(await services(edge).catch(() => null)) === '["widgets"]');
    place.file('policies/team/gadgets.yaml', gadgets);
    await until(async () => JSON.stringify(await services(edge).catch(() => null)) === '["gadgets","widgets"]');
    rmSync(join(place.path, 'policies/team'), { recursive: true });
    await until(async () => JSON.stringify(await services(edge).catch(() => null)) === '["widgets"]');
  });

  it('a secret that the Worker itself refuses gives way to what was served before', async () => {
    const edge = await start();
    place.file('vars.env', 'WIDGETS_KEY=x\n');
    await until(() => /not reloaded.*WIDGETS_KEY is a placeholder/s.test(edge.said()));
    await until(async () => (await fetch(`${edge.url}/healthz`).catch(() => null))?.status === 200);
    expect(await services(edge)).toEqual(['widgets']);
  });
});

describe('one state directory, one edge', () => {
  it('a second one is refused, naming the first', async () => {
    const edge = await start();
    const second = await keywarden(
      ['dev', '--port', '0', '--policies', 'policies', '--vars', 'vars.env', '--state', 'state'],
      { cwd: place.path },
    );
    expect(second.code).toBe(125);
    expect(second.stderr).toContain(`pid ${edge.child.pid}`);
    expect((await fetch(`${edge.url}/healthz`)).status).toBe(200);
  });

  it('the lock of one that was killed, or of a reused pid, locks nobody out', async () => {
    const first = await start();
    await first.stop('SIGKILL');
    await (await start()).stop();
    place.file('state/edge.lock', JSON.stringify({ pid: process.pid, start: '1' }), 0o600);
    await start();
  });
});

describe('nothing outlives keywarden dev', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s ends workerd too, exit code 0, and takes edge.json and the lock away',
    async (signal) => {
      const edge = await start();
      const workerd = workerdOf(edge);
      expect(isAlive(workerd)).toBe(true);
      expect(await edge.stop(signal)).toBe(0);
      expect(isAlive(workerd)).toBe(false);
      expect(readdirSync(edge.stateDir).sort()).toEqual(['operator.key', 'signing.jwk', 'storage']);
    },
  );

  it('SIGKILL ends workerd too', async () => {
    const edge = await start();
    const workerd = workerdOf(edge);
    await edge.stop('SIGKILL');
    await until(() => !isAlive(workerd), 3_000);
  });

  it.skipIf(oldNode() === null)('SIGKILL of an old Node that handed over ends the new one and workerd', async () => {
    const edge = await start(oldNode() ?? '');
    const all = descendants(edge.child.pid ?? 0, '');
    expect(all.length).toBeGreaterThan(1);
    edge.child.kill('SIGKILL');
    await until(() => all.every((pid) => !isAlive(pid)), 5_000);
  });

  it('when workerd dies it says so and exits 125', async () => {
    const edge = await start();
    process.kill(workerdOf(edge), 'SIGKILL');
    expect(await edge.stop('SIGCONT')).toBe(125);
    expect(edge.said()).toMatch(/error: workerd ended unexpectedly by SIGKILL/);
  });
});

function raw(edge: Dev, requestLine: string): Promise<string> {
  const { hostname, port, host } = new URL(edge.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () =>
      socket.write(`${requestLine}\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
    );
    let answer = '';
    socket.on('data', (chunk) => (answer += String(chunk)));
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}
