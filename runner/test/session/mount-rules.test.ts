import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CREDENTIAL_PATHS } from '../../src/helper/credential-list.ts';
import {
  checkMount,
  credentialsOf,
  type HostPaths,
  listeningSockets,
  parseMount,
} from '../../src/session/mount-rules.ts';

let root = '';
let host: HostPaths;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'keywarden-mounts-'));
  for (const dir of [
    'home/ann/.aws',
    'home/ann/.config/gcloud',
    'home/ann/work/src',
    'project/.keywarden',
    'project/work',
    'held/.ssh/sub',
    'keys',
    'config/.config/gcloud',
    'other/.keywarden',
    'edge',
    'npm',
  ])
    mkdirSync(join(root, dir), { recursive: true });
  writeFileSync(join(root, 'npm/.npmrc'), '');
  writeFileSync(join(root, 'npm/.env'), '');
  writeFileSync(join(root, 'npm/.dev.vars'), '');
  for (const file of ['held/.ssh/id_rsa', 'keys/id_ed25519', 'edge/operator.key']) writeFileSync(join(root, file), '');
  symlinkSync(join(root, 'home/ann'), join(root, 'innocent'));
  symlinkSync('/etc', join(root, 'work-of-etc'));
  host = {
    homes: [join(root, 'home/ann')],
    credentials: credentialsOf(readFileSync(CREDENTIAL_PATHS, 'utf8')),
    state: join(root, 'project/.keywarden'),
    sockets: listeningSockets,
  };
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const check = (source: string, anyway = false, destination = '/work') =>
  checkMount(
    { source: source.startsWith('/') ? source : join(root, source), destination, writable: true },
    host,
    anyway,
  );

describe('what may be mounted', () => {
  it.each(['home/ann/work', 'home/ann/work/src', 'project/work', 'npm'])('%s', (source) => {
    expect(check(source)).toEqual({ source: join(root, source), destination: '/work', writable: true });
  });

  it('a file', () => {
    expect(check('npm/.npmrc').source).toBe(join(root, 'npm/.npmrc'));
  });
});

describe('what may not', () => {
  it.each([
    ['home/ann', /a home/],
    ['home', /a home is in it/],
    ['home/ann/.aws', /credentials are kept there/],
    ['home/ann/.config', /credentials are in it/],
    ['innocent', /a home/],
    ['work-of-etc', /the host itself/],
    ['held', /credentials are in it/],
    ['held/.ssh', /credentials are kept there/],
    ['held/.ssh/sub', /credentials are kept there/],
    ['held/.ssh/id_rsa', /credentials are kept there/],
    ['keys', /credentials are in it/],
    ['keys/id_ed25519', /credentials are kept there/],
    ['config', /credentials are in it/],
    ['config/.config/gcloud', /credentials are kept there/],
    ['other', /credentials are in it \(\.keywarden\)/],
    ['other/.keywarden', /credentials are kept there/],
    ['edge', /credentials are in it \(operator\.key\)/],
    ['edge/operator.key', /credentials are kept there/],
    ['/', /Keywarden's own keys/],
    ['/etc', /the host itself/],
    ['/etc/ssl', /part of the host/],
    ['/proc', /the host itself/],
    ['/run', /the host itself/],
    ['project', /Keywarden's own keys/],
    ['project/.keywarden', /Keywarden's own keys/],
    ['nothing/here', /no such folder/],
  ])('%s', (source, why) => {
    expect(() => check(source)).toThrow(why);
  });

  it('--mount-anyway opens credentials and homes, never the keys of Keywarden', () => {
    expect(check('home/ann', true).source).toBe(join(root, 'home/ann'));
    for (const source of ['project', 'project/.keywarden', '/']) expect(() => check(source, true)).toThrow(/own keys/);
  });

  it('a socket (threats B 33)', async () => {
    const path = join(root, 'docker.sock');
    const server = createServer().listen(path);
    await new Promise((resolve) => server.once('listening', resolve));
    expect(() => check('docker.sock', true)).toThrow(/no sockets/);
    server.close();
  });

  it('a folder in which a program of the host listens, until it is gone (threat B33)', async () => {
    mkdirSync(join(root, 'served/tmp'), { recursive: true });
    const server = createServer().listen(join(root, 'served/tmp/app.sock'));
    await new Promise((resolve) => server.once('listening', resolve));
    expect(() => check('served')).toThrow(/listens in it.*served\/tmp\/app\.sock/);
    expect(check('served', true).source).toBe(join(root, 'served'));
    await new Promise((resolve) => server.close(resolve));
    expect(check('served').source).toBe(join(root, 'served'));
  });

  it.each(['/', '/proc', '/proc/1', '/usr', '/usr/bin', '/etc/passwd', '/work/../etc', '/dev/shm', '/var/run/x'])(
    'onto %s',
    (destination) => {
      expect(() => check('npm', false, destination)).toThrow(/sandbox's own/);
    },
  );
});

it('SRC:DST[:rw] is read-only unless it says so, and SRC may hold colons', () => {
  expect(parseMount('./w:/work')).toEqual({ source: './w', destination: '/work', writable: false });
  expect(parseMount('a:b:/work:rw')).toEqual({ source: 'a:b', destination: '/work', writable: true });
  for (const bad of ['/work', 'a:b', ':/x', 'a:/x:rx']) expect(() => parseMount(bad)).toThrow(/--mount/);
});

it("the helper's list adds to what is known anyway, histories do not", () => {
  const found = credentialsOf('ssh ~/.ssh/id_*\nvault ~/.vault-keys\nshell-history ~/.bash_history\n');
  expect(found).toContain('.vault-keys');
  expect(found).toContain('.aws');
  expect(found).not.toContain('.bash_history');
});
