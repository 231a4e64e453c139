import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { endWithNpm } from '../runner/src/cli/end-with-npm.ts';
import { tell } from '../runner/src/cli/tell.ts';
import { harmless, note } from '../runner/src/cli/terminal.ts';
import { firstCalls } from '../runner/src/demo/first-calls.ts';
import { type FirstSession, firstSession } from '../runner/src/demo/first-session.ts';
import { type Demo, prepareDemo } from '../runner/src/demo/prepare.ts';
import { signInUrl } from '../runner/src/demo/sign-in.ts';
import { offeredPort } from '../runner/src/edge/address.ts';
import { claimState, type Edge, type StateClaim, startEdge } from '../runner/src/edge/start-edge.ts';
import { Failure, usage } from '../runner/src/failure.ts';
import { inProject } from '../runner/src/project.ts';

/**
 * `npm start`: a local edge, a demo service behind it, and a first agent's calls, so that there is something to see.
 *
 *   npm start [-- --port N] [--state DIR]
 */

const USAGE = 'npm start -- [--port N] [--state DIR]';

const values = options();
const stateDir = resolve(values.state ?? inProject('.keywarden'));
const say = (line: string): void => note(harmless(line));

let claim: StateClaim | null = null;
let demo: Demo | null = null;
let edge: Edge | null = null;
let session: FirstSession | null = null;
const asked = new Promise<void>((done) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => done());
});

endWithNpm();
process.exit(await main());

async function main(): Promise<number> {
  try {
    const begun = begin();
    // Asked to stop while still starting: let what is half open open, then close all of it.
    if (!(await Promise.race([begun.then(() => true), asked.then(() => false)]))) {
      await begun.catch(() => {});
      return 0;
    }
    const end = await Promise.race([asked.then(() => null), edge?.died]);
    if (end != null) throw end;
    return 0;
  } catch (error) {
    return tell(error, USAGE);
  } finally {
    await session?.stop();
    await edge?.stop();
    await demo?.close();
    claim?.giveBack();
  }
}

function options(): { port?: string; state?: string } {
  try {
    return parseArgs({ options: { port: { type: 'string' }, state: { type: 'string' } } }).values;
  } catch (error) {
    process.exit(tell(usage((error as Error).message.split('\n')[0] ?? ''), USAGE));
  }
}

async function begin(): Promise<void> {
  // Before anything is written: a running edge reads the demo's policies, and would follow them to a gate that closes.
  claim = claimState(stateDir, say);
  demo = await prepareDemo(join(stateDir, 'demo'));
  const port = await portFor(values.port);
  edge = await startEdge({
    port,
    host: '127.0.0.1',
    policiesDir: demo.policiesDir,
    varsFile: demo.varsFile,
    stateDir,
    claim,
    watch: true,
    say,
  });
  const calls = await firstCalls(edge.url, stateDir);
  session = await firstSession(stateDir, say, (line) => process.stdout.write(`demo: ${line}\n`));
  const told =
    session === null
      ? ['No sandbox was started: npx keywarden doctor tells what this host lacks.']
      : ['The same agent in a sandbox, with a token and nothing else:', ...session.lines.map((line) => `  ${line}`)];
  process.stdout.write(
    `${[...calls, '', ...told, '', ...directions(edge.url, await signInUrl(edge.url, stateDir))].join('\n')}\n`,
  );
}

/** 8787, or the next one that is free, saying so. A port that was asked for is that one or none. */
async function portFor(wanted: string | undefined): Promise<number> {
  if (wanted !== undefined) {
    if (!/^\d{1,5}$/.test(wanted) || Number(wanted) > 65_535)
      throw new Failure('a port is a number from 0 to 65535', [], 2);
    return Number(wanted);
  }
  for (let port = 8787; port < 8887; port += 1) {
    try {
      await offeredPort('127.0.0.1', port);
      if (port !== 8787) say(`port 8787 is in use, taking ${port}`);
      return port;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
    }
  }
  return 0;
}

function directions(url: string, signIn: string): string[] {
  const near = values.state === undefined ? '' : ` --state ${relative(process.cwd(), stateDir) || '.'}`;
  const token = `npx keywarden token${near} --agent demo --can stripe:list_customers`;
  return [
    `Keywarden serves at ${url}  (Ctrl-C ends everything)`,
    '',
    'Open the console (this link signs in once, within 15 minutes):',
    `  ${signIn}`,
    '',
    'In another terminal, in this directory:',
    `  mint a token   ${token}`,
    `  call with it   curl -H "Authorization: Bearer $(${token})" ${url}/proxy/stripe/v1/customers`,
    `  decide         npx keywarden approvals list${near}, then approvals approve ID or deny ID`,
    `  a sandbox      npx keywarden run${near} --can stripe:list_customers -- bash`,
    `  its sessions   npx keywarden sessions list${near}`,
    `  see the audit  npx keywarden audit list${near}`,
    `  check it       npx keywarden audit verify${near}`,
    '',
    'An SDK needs two settings: the base URL, and the token in the place of the key. In Python:',
    `  stripe.api_base, stripe.api_key = "${url}/proxy/stripe", TOKEN`,
    '',
    'The demo service is an emulator of Stripe behind a gate that only the real key opens.',
    'Your own services: a policy each in policies/, their keys in .dev.vars, then npx keywarden dev.',
  ];
}
