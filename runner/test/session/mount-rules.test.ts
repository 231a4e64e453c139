import { spawn } from 'node:child_process';
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { CREDENTIAL_PATHS } from '../../src/helper/credential-list.ts';
import { credentialsOf, type HostPaths, hostPaths, listeningSockets } from '../../src/session/host-paths.ts';
import { checkMount, checkNesting, parseMount, reasonAgainstRoot } from '../../src/session/mount-rules.ts';

let root = '';
let host: HostPaths;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'keywarden-mounts-'));
  for (const dir of [
    'home/ann/.aws',
    'home/ann/.config/gcloud/logs',
    'home/ann/.cargo/bin',
    'home/ann/work/src',
    'project/.keywarden',
    'project/work',
    'project/x',
    'held/.ssh/sub',
    'keys',
    'config/.config/gcloud',
    'other/.keywarden',
    'edge',
    'npm',
    'elsewhere/cloud/logs',
    'elsewhere/notes',
    'dotfiles/git',
    'dotfiles/conf/gh',
  ])
    mkdirSync(join(root, dir), { recursive: true });
  writeFileSync(join(root, 'npm/.npmrc'), '');
  writeFileSync(join(root, 'npm/.env'), '');
  writeFileSync(join(root, 'npm/.dev.vars'), '');
  for (const file of ['held/.ssh/id_rsa', 'keys/id_ed25519', 'edge/operator.key']) writeFileSync(join(root, file), '');
  symlinkSync(join(root, 'home/ann'), join(root, 'innocent'));
  symlinkSync('/etc', join(root, 'work-of-etc'));
  // A home of links, as who keeps their settings elsewhere has it.
  mkdirSync(join(root, 'home/bob'));
  writeFileSync(join(root, 'dotfiles/git/netrc'), '');
  for (const [link, target] of [
    ['.azure', 'elsewhere/cloud'],
    ['.netrc', 'dotfiles/git/netrc'],
    ['.config', 'dotfiles/conf'],
    ['.env', 'npm/.env'],
    ['.kube', 'nowhere'],
  ] as const)
    symlinkSync(join(root, target), join(root, 'home/bob', link));
  host = {
    homes: [join(root, 'home/ann'), join(root, 'home/bob')],
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
  // In `.cargo` credentials would be, and are none; of `x` a comment of the list speaks.
  const free = ['home/ann/work', 'home/ann/work/src', 'home/ann/.cargo', 'project/work', 'project/x', 'npm'];
  it.each([...free, 'elsewhere/notes'])('%s', (source) => {
    const { dev, ino } = statSync(join(root, source), { bigint: true });
    const identity = `${dev}:${ino}`;
    expect(check(source)).toEqual({ source: join(root, source), destination: '/work', writable: true, identity });
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
    ['home/ann/.config/gcloud', /credentials are kept there/],
    ['home/ann/.config/gcloud/logs', /credentials are kept there/],
    ['home/ann/.config', /credentials are in it/],
    ['innocent', /a home/],
    ['elsewhere', /credentials are in it \(.*elsewhere\/cloud\)/],
    ['elsewhere/cloud', /credentials are kept there/],
    ['elsewhere/cloud/logs', /credentials are kept there/],
    ['dotfiles/git', /credentials are in it \(.*dotfiles\/git\/netrc\)/],
    ['dotfiles/git/netrc', /credentials are kept there/],
    ['dotfiles/conf', /credentials are in it \(.*dotfiles\/conf\/gh\)/],
    ['dotfiles/conf/gh', /credentials are kept there/],
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

  it('what holds another name of a credential: it is the same file, wherever it lies (threat B16)', () => {
    const credential = join(root, 'home/ann/.aws/sso/cache/token.json');
    mkdirSync(join(root, 'home/ann/.aws/sso/cache'), { recursive: true });
    mkdirSync(join(root, 'linked/deep/down'), { recursive: true });
    writeFileSync(credential, '');
    writeFileSync(join(root, 'linked/harmless'), '');
    linkSync(join(root, 'linked/harmless'), join(root, 'linked/deep/harmless'));
    expect(check('linked').source).toBe(join(root, 'linked'));
    const name = join(root, 'linked/deep/down/notes');
    linkSync(credential, name);
    for (const source of ['linked', 'linked/deep/down/notes'])
      expect(() => check(source)).toThrow(`${name} is another name of credentials (a hard link to ${credential})`);
    expect(check('linked', true).source).toBe(join(root, 'linked'));
    rmSync(name);
    expect(check('linked').source).toBe(join(root, 'linked'));
  });

  it("what holds another name of Keywarden's own key, whatever is said", () => {
    mkdirSync(join(root, 'linked-key'));
    writeFileSync(join(root, 'project/.keywarden/operator.key'), '');
    linkSync(join(root, 'project/.keywarden/operator.key'), join(root, 'linked-key/x'));
    for (const anyway of [false, true]) expect(() => check('linked-key', anyway)).toThrow(/x is another name of/);
    rmSync(join(root, 'linked-key/x'));
    expect(check('linked-key').source).toBe(join(root, 'linked-key'));
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

  it('a folder in which a program of the host takes datagrams (threat B33)', async () => {
    mkdirSync(join(root, 'told'));
    const listener = spawn('python3', [
      '-uc',
      'import socket, sys, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]); print(1); time.sleep(60)',
      join(root, 'told/log'),
    ]);
    onTestFinished(() => void listener.kill('SIGKILL'));
    await new Promise((resolve) => listener.stdout.once('data', resolve));
    expect(() => check('told')).toThrow(/listens in it.*told\/log/);
  });

  it('what holds a key of ours, also when the list of credentials cannot be read', () => {
    const unlisted = { ...host, credentials: credentialsOf(null) };
    for (const source of ['edge', 'edge/operator.key', 'other'])
      expect(() =>
        checkMount({ source: join(root, source), destination: '/work', writable: false }, unlisted, false),
      ).toThrow(/credentials are/);
  });

  it.each([
    '/',
    '/proc',
    '/proc/1',
    '/sys',
    '/sys/fs',
    '/usr',
    '/usr/bin',
    '/bin',
    '/bin/sh',
    '/sbin/x',
    '/lib/x',
    '/lib64/x',
    '/etc',
    '/etc/passwd',
    '/work/../etc',
    '/dev/shm',
    '/run/x',
    '/var/run/x',
  ])('onto %s', (destination) => {
    expect(() => check('npm', false, destination)).toThrow(/sandbox's own/);
  });
  it.each(['/opt', '/opt/app', '/boot/x', '/lib32'])('writable onto %s, where Landlock lets nobody write', (at) => {
    expect(() => check('npm', false, at)).toThrow(/nothing may be written there/);
    const source = join(root, 'npm');
    expect(checkMount({ source, destination: at, writable: false }, host, false).destination).toBe(at);
  });

  const bare: HostPaths = { homes: [], credentials: [], state: '/nowhere/state', sockets: () => [] };
  it.each(['/etc', '/proc', '/sys', '/dev', '/run', '/var', '/var/lib', '/home', '/root', '/usr', '/tmp'])(
    '%s, though nobody lives or listens there',
    (source) =>
      expect(() => checkMount({ source, destination: '/work', writable: false }, bare, false)).toThrow(
        'this is the host itself',
      ),
  );
  it.each([
    ['/proc/sys', '/proc'],
    ['/sys/kernel', '/sys'],
    ['/dev/shm', '/dev'],
    ['/etc/ssl', '/etc'],
  ])('%s, a part of %s', (source, system) =>
    expect(() => checkMount({ source, destination: '/work', writable: false }, bare, false)).toThrow(
      `it is part of the host (${system})`,
    ),
  );

  it.each([
    '/',
    '/etc',
    '/proc',
    '/sys',
    '/dev',
    '/run',
    '/var',
    '/var/run',
    '/var/lib',
    '/boot',
    '/root',
    '/home',
    '/usr',
    '/tmp',
  ])('%s as the whole system of a sandbox', (path) =>
    expect(reasonAgainstRoot(path, bare)).toBe("this is the host's own"),
  );
  it('a system that holds our keys or a home, or lies within our keys', () => {
    const lived = { ...bare, homes: ['/srv/people/ann'] };
    expect(reasonAgainstRoot('/nowhere', bare)).toMatch(/own keys are in it/);
    expect(reasonAgainstRoot('/nowhere/state/images', bare)).toMatch(/own keys are in it/);
    expect(reasonAgainstRoot('/srv/people', lived)).toBe('a home is in it (/srv/people/ann)');
    expect(reasonAgainstRoot('/srv/people/ann', lived)).toBe('a home is in it (/srv/people/ann)');
    expect(reasonAgainstRoot('/var/lib/images/debian', lived)).toBeNull();
  });
});

describe('a mount below another one', () => {
  const at = (source: string, destination: string) => ({ source: join(root, source), destination, writable: false });
  it('needs its place there, of its kind, in the one right above it', () => {
    expect(() => checkNesting([at('project/work', '/work'), at('npm', '/other')])).not.toThrow();
    expect(() => checkNesting([at('home/ann', '/work'), at('npm', '/work/work/src')])).not.toThrow();
    expect(() => checkNesting([at('npm', '/work'), at('npm/.env', '/work/.npmrc')])).not.toThrow();
    expect(() => checkNesting([at('home/ann', '/work'), at('npm', '/work/new')])).toThrow(/new is no folder to mount/);
    expect(() => checkNesting([at('npm', '/work'), at('held', '/work/.npmrc')])).toThrow(/npmrc is no folder to mount/);
    expect(() => checkNesting([at('held', '/work'), at('npm/.env', '/work/.ssh')])).toThrow(/ssh is no file to mount/);
    expect(() =>
      checkNesting([at('home/ann', '/work'), at('npm', '/work/work'), at('held', '/work/work/src')]),
    ).toThrow(/npm\/src is no folder/);
  });
});

it('SRC:DST[:rw] is read-only unless it says so, and SRC may hold colons', () => {
  expect(parseMount('./w:/work')).toEqual({ source: './w', destination: '/work', writable: false });
  expect(parseMount('a:b:/work:rw')).toEqual({ source: 'a:b', destination: '/work', writable: true });
  expect(parseMount('a\nb:/work')).toEqual({ source: 'a\nb', destination: '/work', writable: false });
  for (const bad of ['/work', 'a:b', ':/x', 'a:/x:rx']) expect(() => parseMount(bad)).toThrow(/--mount/);
});

it("the helper's list adds to what is known anyway, histories do not", () => {
  const found = credentialsOf('ssh ~/.ssh/id_*\nvault ~/.vault-keys\nshell-history ~/.bash_history\n');
  expect(found).toContain('.vault-keys');
  expect(found).toContain('.aws');
  expect(found).not.toContain('.bash_history');
  // A pattern is no place, nor is what stands before its first star.
  expect(found.filter((path) => path.startsWith('.ssh'))).toEqual(['.ssh']);
});

it.each([
  '.aws',
  '.ssh',
  '.gnupg',
  '.config/gcloud',
  '.azure',
  '.kube',
  '.docker/config.json',
  '.netrc',
  '.git-credentials',
  '.npmrc',
  '.pypirc',
  '.password-store',
  '.vault-token',
  '.local/share/keyrings',
  '.mozilla',
  '.config/chromium',
  '.config/google-chrome',
])('%s is known to hold credentials, also without the list', (path) => {
  expect(credentialsOf(null)).toContain(path);
  expect(hostPaths('/nowhere', null).credentials).toContain(path);
});

it('the state is known by where it really is', () => {
  const link = join(root, 'state-link');
  symlinkSync(join(root, 'project/.keywarden'), link);
  expect(hostPaths(link, null).state).toBe(join(root, 'project/.keywarden'));
});

it('homes are those of root and of people, and of no account of the system', () => {
  const { homes } = hostPaths('/nowhere', null);
  const accounts = readFileSync('/etc/passwd', 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(':'));
  const homeOf = (uid: number) => accounts.find((fields) => Number(fields[2]) === uid)?.[5] ?? '';
  expect(homes).toContain(homeOf(0));
  for (const uid of [1, 2, 65_534])
    if (homeOf(uid) !== homeOf(0) && homeOf(uid) !== realpathSync(homedir()))
      expect(homes, String(uid)).not.toContain(homeOf(uid));
});

it('the home of whoever runs it is a home', () =>
  expect(hostPaths('/nowhere', null).homes).toContain(realpathSync(homedir())));
