import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { end, type Started, start, until } from '../support/process.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const WRANGLER = join(ROOT, 'node_modules/wrangler/bin/wrangler.js');
/** What `wrangler dev` needs of the project. */
const COPIED = ['src', 'console', 'scripts', 'migrations', 'runner', 'package.json', 'wrangler.toml', 'tsconfig.json'];

/** The project, copied, served by `wrangler dev` itself with these policies and `.dev.vars`. */
export interface WranglerCopy {
  readonly url: string;
  readonly directory: string;
  /** All that wrangler said, of the migrations too. */
  readonly output: () => string;
  readonly stop: () => Promise<void>;
  readonly remove: () => void;
}

export async function startWranglerCopy(
  policies: Readonly<Record<string, string>>,
  vars: Readonly<Record<string, string>>,
): Promise<WranglerCopy> {
  const directory = mkdtempSync(join(tmpdir(), 'keywarden-wrangler-'));
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  for (const name of COPIED)
    cpSync(join(ROOT, name), join(directory, name), {
      recursive: true,
      filter: (from) => !from.endsWith('/node_modules'),
    });
  // Once `secrets.required` is there, wrangler reads nothing else from .dev.vars: these policies' secrets must be named.
  const toml = readFileSync(join(ROOT, 'wrangler.toml'), 'utf8');
  writeFileSync(
    join(directory, 'wrangler.toml'),
    toml.replace(/^required = \[[^\]]*\]/m, `required = ${JSON.stringify(Object.keys(vars))}`),
  );
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  mkdirSync(join(directory, 'policies'));
  for (const [name, text] of Object.entries(policies)) writeFileSync(join(directory, 'policies', name), text);
  writeFileSync(
    join(directory, '.dev.vars'),
    Object.entries(vars)
      .map(([name, value]) => `${name}='${value}'\n`)
      .join(''),
    { mode: 0o600 },
  );

  const home = join(directory, 'home');
  mkdirSync(home);
  const env = {
    PATH: `${join(ROOT, 'node_modules/.bin')}:${process.env.PATH}`,
    HOME: home,
    XDG_CONFIG_HOME: join(home, '.config'),
    CI: '1',
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_LOG: 'debug',
    WRANGLER_LOG_SANITIZE: 'false',
    NO_COLOR: '1',
    // Wrangler would trace every subrequest with its whole URL into .wrangler/, a query scheme's key included (tried).
    X_LOCAL_OBSERVABILITY: 'false',
  };
  const run = (args: readonly string[]): Started =>
    start(process.execPath, [WRANGLER, ...args], { cwd: directory, env });

  const migration = run(['d1', 'migrations', 'apply', 'DB', '--local']);
  const migrated = await migration.ended;
  if (migrated.code !== 0) {
    remove();
    throw new Error(`wrangler d1 migrations apply: ${migrated.code}\n${migration.output()}`);
  }
  const dev = run([
    'dev',
    '--local',
    '--port',
    '0',
    '--ip',
    '127.0.0.1',
    '--inspector-port',
    '0',
    '--show-interactive-dev-session=false',
  ]);
  const ready = (): string | undefined => /Ready on (http:\/\/127\.0\.0\.1:\d+)/.exec(dev.output())?.[1];
  let over = false;
  void dev.ended.then(() => (over = true));
  await until('wrangler dev', () => over || ready() !== undefined, 90_000).catch(() => {});
  const url = ready();
  const output = (): string => migration.output() + dev.output();
  if (url === undefined) {
    await end(dev).catch(() => {});
    remove();
    throw new Error(`wrangler dev does not start:\n${output()}`);
  }
  return { url, directory, output, stop: () => end(dev), remove };
}
