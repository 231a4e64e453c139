/**
 * How long does a command take, whole: from its start to its end, as a person waits for it?
 *
 *   node bench/start.ts [--rounds 20] [--against ../before]
 *
 * Turn by turn with an empty script and, when told where, with another checkout, against one local edge.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { inProject } from '../runner/src/project.ts';
import { median } from './in-sandbox.ts';
import { machineText } from './report.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '20' }, against: { type: 'string' } } });
const bin = (root: string): string[] => [process.execPath, join(root, 'runner/bin/keywarden.js')];
const trees = [
  { name: 'here', start: bin(inProject()) },
  ...(values.against === undefined ? [] : [{ name: 'there', start: bin(resolve(values.against)) }]),
];
const directory = mkdtempSync(join(tmpdir(), 'keywarden-start-'));
const state = join(directory, 'state');
const COMMANDS = [
  ['--help'],
  ['token', '--state', state, '--agent', 'agent', '--can', 'stripe:read_balance'],
  ['run', '--state', state, '--quiet', '--no-edge', '--', 'true'],
  ['run', '--state', state, '--quiet', '--can', 'stripe:read_balance', '--', 'true'],
];

const edge = await startEdge();
try {
  const empty = join(directory, 'empty.js');
  writeFileSync(empty, '');
  console.log(`${machineText()}\n\n| command | | median, ms | least |\n| --- | --- | --: | --: |`);
  row('an empty script', '', measure([[process.execPath, empty]])[0] ?? []);
  for (const command of COMMANDS) {
    const found = measure(trees.map(({ start }) => [...start, ...command]));
    const shown = command.filter((word) => word !== state && word !== '--state').join(' ');
    trees.forEach(({ name }, i) => void row(shown, name, found[i] ?? []));
  }
} finally {
  edge.kill();
  await new Promise((done) => edge.once('close', done));
  rmSync(directory, { recursive: true, force: true });
}

/** The first turn fills caches. */
function measure(commands: readonly (readonly string[])[]): number[][] {
  const took: number[][] = commands.map(() => []);
  for (let round = 0; round <= Number(values.rounds); round++) {
    commands.forEach(([program = '', ...args], i) => {
      const begun = performance.now();
      const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
      if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`);
      if (round > 0) took[i]?.push(performance.now() - begun);
    });
  }
  return took;
}

function row(command: string, tree: string, took: readonly number[]): void {
  console.log(`| \`${command}\` | ${tree} | ${median(took).toFixed(0)} | ${Math.min(...took).toFixed(0)} |`);
}

async function startEdge(): Promise<ChildProcess> {
  const policies = join(directory, 'policies');
  mkdirSync(policies);
  copyFileSync(inProject('policies/stripe.yaml'), join(policies, 'stripe.yaml'));
  const vars = join(directory, 'vars');
  writeFileSync(vars, 'STRIPE_KEY=sk_test_nobody\n', { mode: 0o600 });
  const [program = '', ...start] = bin(inProject());
  const own = ['--policies', policies, '--vars', vars, '--state', state, '--port', '0', '--no-watch'];
  const child = spawn(program, [...start, 'dev', ...own], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise<void>((ready, fail) => {
    child.stdout.once('data', () => ready());
    child.once('close', (code) => fail(new Error(`keywarden dev ended with ${code}`)));
  });
  return child;
}
