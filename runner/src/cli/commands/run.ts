import { Command, InvalidArgumentError, Option } from 'commander';
import type { BackendName } from '../../sandbox/backend.ts';
import { collectNames, parseDuration, stateOption } from '../arguments.ts';
import type { SetExit } from '../program.ts';

export interface RunOptions {
  readonly backend: BackendName | 'auto';
  readonly can: readonly string[];
  readonly agent: string;
  readonly timeout: number;
  readonly mount: readonly string[];
  readonly mountAnyway?: boolean;
  readonly env: readonly string[];
  readonly secret: readonly string[];
  readonly mask?: boolean;
  readonly memory?: number;
  readonly cpus?: number;
  readonly pids?: number;
  readonly image?: string;
  readonly root?: string;
  readonly workdir?: string;
  readonly decoys: boolean;
  readonly requireCount?: boolean;
  readonly tty: boolean;
  readonly edge: boolean;
  readonly metricsFile?: string;
  readonly events?: string;
  readonly state?: string;
  readonly json?: boolean;
  readonly timings?: boolean;
  readonly quiet?: boolean;
  readonly dryRun?: boolean;
}

const collect = (text: string, before: readonly string[] = []): string[] => [...before, text];

/** `512m`, `2g`, or a number of bytes. */
function parseSize(text: string): number {
  const match = /^(\d{1,12})([kmg])?(?:i?b)?$/i.exec(text);
  const unit = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }[match?.[2]?.toLowerCase() ?? ''] ?? 1;
  const bytes = match === null ? 0 : Number(match[1]) * unit;
  if (bytes < 16 * 1024 ** 2) throw new InvalidArgumentError('Write a size of at least 16m, as in 512m or 2g.');
  return bytes;
}

function parseCpus(text: string): number {
  const cpus = /^\d{1,3}(\.\d{1,2})?$/.test(text) ? Number(text) : 0;
  if (cpus < 0.05) throw new InvalidArgumentError('Write a number of cores, as in 0.5 or 2.');
  return cpus;
}

function parsePids(text: string): number {
  const pids = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (pids < 4) throw new InvalidArgumentError('Write a number from 4 to 99999.');
  return pids;
}

export function runCommand(setExit: SetExit): Command {
  // Pass through: who forgets the -- must not lose the agent's own options to us.
  return new Command('run')
    .description('run an agent in a throwaway sandbox that reaches the edge and nothing else')
    .usage('[options] -- CMD [ARG…]')
    .argument('[command...]', 'the program and its arguments, after --')
    .passThroughOptions()
    .addOption(
      new Option('--backend <name>', 'how to isolate').choices(['auto', 'namespace', 'docker']).default('auto'),
    )
    .addOption(
      new Option(
        '--can <capabilities...>',
        'what the agent may do at the edge; repeatable, several, or comma-separated',
      )
        .argParser(collectNames)
        .default([], 'nothing'),
    )
    .option('--agent <id>', 'whom its token speaks for', 'agent')
    .addOption(
      new Option('--timeout <time>', 'the deadline: 90s (or 90), 15m, 2h; at most 24h')
        .argParser(parseDuration)
        .default(900, '15m'),
    )
    .addOption(
      new Option('--mount <src:dst[:rw]>', 'a folder of the host, read-only unless :rw; repeatable')
        .argParser(collect)
        .default([], 'none'),
    )
    .option('--mount-anyway', 'mount even what holds credentials: the agent can read them')
    .addOption(
      new Option('--env <k=v>', 'a variable; K alone passes your own; repeatable, the last of a name holds')
        .argParser(collect)
        .default([], 'none'),
    )
    .addOption(
      new Option(
        '--secret <name[=source]>',
        'a secret into the environment, from env:VAR, file:PATH or command:CMD (default: env:NAME); repeatable',
      )
        .argParser(collect)
        .default([], 'none'),
    )
    .option('--mask', 'mask the secrets and the token in the output (default: when there are secrets)')
    .option('--no-mask', 'leave the output untouched')
    .option('--memory <size>', 'at most this much (default: 2g)', parseSize)
    .option('--cpus <n>', 'at most so many cores (default: 2)', parseCpus)
    .option('--pids <n>', 'at most so many processes (default: 512)', parsePids)
    .option('--image <name>', 'docker: the image')
    .option('--root <dir>', "namespace: a root folder in place of the host's /usr")
    .option('--workdir <dir>', 'where it starts, inside (default: the first mount, else the home)')
    .option('--no-decoys', 'no canary files at the well-known credential paths')
    .option('--require-count', 'refuse to run where opens of credential paths cannot be counted')
    .option('--no-tty', 'no terminal inside, even when there is one here')
    .option('--no-edge', 'a sandbox without an edge: no token, the receipt stays here')
    .option('--metrics-file <file>', 'keep a file of Prometheus metrics of this session')
    .option('--events <file>', 'append JSON lines of what happens')
    .addOption(stateOption())
    .option('--json', 'print a summary of the receipt as the last line of stderr')
    .option('--timings', 'print how long each phase took, to stderr')
    .option('--quiet', 'say nothing but errors')
    .option('--dry-run', 'print exactly what would be done, and do nothing')
    .addHelpText('after', HELP)
    .action(async (argv: string[], options: RunOptions) => {
      // Loaded when asked for: other commands need not wait for it.
      const { runAgent } = await import('./run-agent.ts');
      setExit(await runAgent(argv, options));
    });
}

const HELP = `
Inside: a read-only system, an empty home and /tmp, no network but the edge at
$KEYWARDEN_URL, and $KEYWARDEN_TOKEN, which does what --can says until the
session ends.

Examples:
  keywarden run --can stripe:read_balance -- python3 agent.py
  keywarden run --mount ./work:/work:rw --timeout 1h -- bash
  keywarden run --secret DB_PASSWORD=file:/run/secrets/db -- node job.js

Exit codes: the command's own; 128+n when signal n ended it; 124 when it ended
well, but only after its deadline; 125 keywarden failed; 126 cannot be executed;
127 not found.`;
