import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { end, freePort, type Started, start, until } from './process.ts';

/** What it takes, by apt-get; the CLI's `system-packages` step installs it. */
const SWIFT_PACKAGES = ['swift-proxy', 'swift-account', 'swift-container', 'swift-object', 'memcached'] as const;

export interface Swift {
  /** The S3 API: `http://127.0.0.1:PORT`. */
  readonly origin: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly stop: () => Promise<void>;
}

const CONFIGURATION = fileURLToPath(new URL('./swift/', import.meta.url));
const RINGS = ['account', 'container', 'object'] as const;

/** OpenStack Swift with its S3 API: a server that others wrote and that really verifies SigV4. Five processes, ports at random. */
export async function startSwift(): Promise<Swift> {
  for (const program of ['/usr/bin/swift-proxy-server', '/usr/bin/swift-ring-builder', '/usr/bin/memcached']) {
    try {
      accessSync(program, constants.X_OK);
    } catch {
      throw new Error(`${program} is missing: apt-get install -y --no-install-recommends ${SWIFT_PACKAGES.join(' ')}`);
    }
  }
  const directory = mkdtempSync(join(tmpdir(), 'keywarden-swift-'));
  const ports = {
    account: await freePort(),
    container: await freePort(),
    object: await freePort(),
    proxy: await freePort(),
    memcached: await freePort(),
  };
  const etc = configure(directory, ports);
  await buildRings(etc, ports);

  const started: Started[] = [];
  const stop = async (): Promise<void> => {
    const failures = (await Promise.allSettled(started.map((program) => end(program)))).flatMap((r) =>
      r.status === 'rejected' ? [r.reason] : [],
    );
    rmSync(directory, { recursive: true, force: true });
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('\n'));
  };
  const origin = `http://127.0.0.1:${ports.proxy}`;
  try {
    started.push(
      start('/usr/bin/memcached', [
        ...(userInfo().uid === 0 ? ['-u', 'nobody'] : []),
        '-l',
        '127.0.0.1',
        '-p',
        String(ports.memcached),
        '-U',
        '0',
      ]),
    );
    for (const server of [...RINGS, 'proxy'] as const) {
      started.push(
        start('/usr/bin/python3', [`/usr/bin/swift-${server}-server`, join(etc, `${server}-server.conf`)], {
          env: { PATH: '/usr/bin:/bin', HOME: directory, LANG: 'C.UTF-8' },
        }),
      );
    }
    await until(
      'OpenStack Swift to answer',
      () =>
        fetch(`${origin}/info`, { signal: AbortSignal.timeout(5_000) }).then(
          (r) => r.ok,
          () => false,
        ),
      60_000,
    );
    await Promise.all(
      RINGS.map((ring) =>
        until(`Swift's ${ring} server to listen`, () =>
          fetch(`http://127.0.0.1:${ports[ring]}/`, { signal: AbortSignal.timeout(5_000) }).then(
            () => true,
            () => false,
          ),
        ),
      ),
    );
  } catch (error) {
    const said = started.map((p) => p.output()).join('\n');
    await stop().catch(() => {});
    throw new Error(`${(error as Error).message}\n${said}`);
  }
  return { origin, accessKeyId: 'test:tester', secretAccessKey: 'testing', stop };
}

function configure(directory: string, ports: Readonly<Record<string, number>>): string {
  const etc = join(directory, 'etc');
  mkdirSync(etc);
  mkdirSync(join(directory, 'srv/1/d1'), { recursive: true });
  for (const name of readdirSync(CONFIGURATION)) {
    const text = readFileSync(join(CONFIGURATION, name), 'utf8')
      .replaceAll('@DIR@', directory)
      .replaceAll('@USER@', userInfo().username)
      .replaceAll('@PORT@', String(ports[name.replace('-server.conf', '')]))
      .replaceAll('@MEMCACHED_PORT@', String(ports.memcached));
    writeFileSync(join(etc, name), text);
  }
  return etc;
}

async function buildRings(etc: string, ports: Readonly<Record<string, number>>): Promise<void> {
  await Promise.all(
    RINGS.map(async (ring) => {
      const builder = async (...args: string[]): Promise<void> => {
        const program = start('/usr/bin/python3', ['/usr/bin/swift-ring-builder', `${ring}.builder`, ...args], {
          cwd: etc,
          env: { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' },
        });
        const { code } = await program.ended;
        // 1 is a warning: one replica on one device cannot be balanced better.
        if (code !== 0 && code !== 1) throw new Error(`swift-ring-builder ${args.join(' ')}: ${program.output()}`);
      };
      await builder('create', '4', '1', '1');
      await builder('add', `r1z1-127.0.0.1:${ports[ring]}/d1`, '1');
      await builder('rebalance');
    }),
  );
}
