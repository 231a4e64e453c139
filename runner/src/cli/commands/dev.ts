import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { inProject } from '../../project.ts';
import { parsePort } from '../arguments.ts';
import { harmless, note, print } from '../terminal.ts';

interface DevOptions {
  readonly port: number;
  readonly host: string;
  readonly policies?: string;
  readonly vars?: string;
  readonly state: string;
  readonly watch: boolean;
}

export function devCommand(): Command {
  return new Command('dev')
    .description('serve a local edge in workerd')
    .option('--port <port>', 'where to listen; 0 takes any free port', parsePort, 8787)
    .option('--host <host>', 'on which address', '127.0.0.1')
    .option('--policies <dir>', "the policies to serve (default: the project's policies/)")
    .option('--vars <file>', "the secrets, in .dev.vars form (default for the project's policies: its .dev.vars)")
    .option('--state <dir>', 'keys and storage; keys it lacks are made there', '.keywarden')
    .option('--no-watch', 'do not reload when policies or secrets change')
    .addHelpText(
      'after',
      `
Prints one line, "ready http://127.0.0.1:PORT", on stdout when it serves;
everything else goes to stderr.
Only here may a policy's origin be http:// on loopback.

Examples:
  keywarden dev
  keywarden dev --policies ./policies --vars ./secrets.env --port 0`,
    )
    .action(dev);
}

async function dev(options: DevOptions): Promise<void> {
  const stop = stopRequest();
  // Miniflare and esbuild take half a second to load: only here.
  const { startEdge } = await import('../../edge/start-edge.ts');
  const edge = await startEdge({
    port: options.port,
    host: options.host,
    policiesDir: options.policies === undefined ? inProject('policies') : resolve(options.policies),
    varsFile: varsFileOf(options),
    stateDir: options.state,
    watch: options.watch,
    say: (line) => note(harmless(line)),
  });
  print(`ready ${edge.url}`);
  const { signInUrl } = await import('../../demo/sign-in.ts');
  const ended = Promise.race([stop.then(() => null), edge.died]);
  // A wish to end, or the end of workerd, may come before the link does.
  const link = signInUrl(edge.url, options.state).then(
    (url) => `the console, signed in once within 15 minutes: ${url}`,
    (error: unknown) => `no sign-in link: ${error instanceof Error ? error.message : error}`,
  );
  void Promise.race([ended.then(() => null), link]).then((line) => line === null || note(harmless(line)));
  const end = await ended;
  await edge.stop();
  if (end !== null) throw end;
}

function varsFileOf(options: DevOptions): string | null {
  if (options.vars !== undefined) return resolve(options.vars);
  const beside = inProject('.dev.vars');
  return options.policies === undefined && existsSync(beside) ? beside : null;
}

/** Resolves at the first signal that asks us to end; later ones change nothing. */
function stopRequest(): Promise<void> {
  return new Promise((done) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => done());
  });
}
