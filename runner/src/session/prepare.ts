import { readFileSync, realpathSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { AgentId, CapabilityName, MAX_TTL_SECONDS } from '../../../src/protocol.ts';
import { Failure, usage } from '../failure.ts';
import { CREDENTIAL_PATHS } from '../helper/credential-list.ts';
import { type BackendName, CORE_LIMITS, type Layer, type Mount } from '../sandbox/backend.ts';
import { codeOf } from '../state/private-file.ts';
import { type Chosen, chooseBackend, wantedBackend } from './choose-backend.ts';
import { checkSizes, EGRESS_PORT, environmentOf, INSIDE_HOME, lostBytes } from './environment.ts';
import { hostPaths } from './host-paths.ts';
import { limitsOf } from './limits.ts';
import type { Masker } from './mask.ts';
import { maskArgv } from './mask-argv.ts';
import { checkPlaces } from './mount-places.ts';
import { checkMount, checkNesting, parseMount, reasonAgainstRoot } from './mount-rules.ts';
import { boxFolder } from './places.ts';
import type { SessionPlan } from './run-session.ts';
import type { RunnerState } from './runner-state.ts';
import { parseSecretSources, readSecret } from './secret-sources.ts';
import { makeSessionId } from './session-id.ts';

/** What a person asks for, as `keywarden run` takes it. */
export interface RunRequest {
  readonly argv: readonly string[];
  readonly agent: string;
  readonly capabilities: readonly string[];
  readonly backend: BackendName | 'auto';
  readonly timeoutSeconds: number;
  readonly mounts: readonly string[];
  readonly mountAnyway: boolean;
  readonly env: readonly string[];
  readonly secrets: readonly string[];
  /** Null: on when there are secrets. */
  readonly mask: boolean | null;
  readonly memoryBytes: number | null;
  readonly cpus: number | null;
  readonly pids: number | null;
  readonly image: string | null;
  readonly root: string | null;
  readonly workdir: string | null;
  readonly decoys: boolean;
  readonly requireCount: boolean;
  readonly tty: boolean;
  readonly hasEdge: boolean;
  /** Only looked at: no command that tells a secret is run. */
  readonly dryRun: boolean;
  readonly state: RunnerState;
}

export interface Prepared {
  readonly plan: SessionPlan;
  readonly layers: readonly Layer[];
  /** Makes the masker of the run's output; null: output passes untouched. */
  readonly masker: ((token: string | null) => Masker) | null;
  readonly secretNames: readonly string[];
}

const GRACE_MS = 5_000;
/** bubblewrap takes 9000, its own options with them. */
const MAX_WORDS = 8_000;

/**
 * Checks everything that can be refused before anything exists, and reads the secrets last.
 *
 * @throws Failure, most of them usage.
 */
export async function prepareRun(
  request: RunRequest,
  choose: (wanted: BackendName | 'auto') => Promise<Chosen> = chooseBackend,
): Promise<Prepared> {
  const program = request.argv[0];
  if (program === undefined || program === '')
    throw usage('what is to be run? put it after --', 'keywarden run --can stripe:read_balance -- python3 agent.py');
  if (request.argv.length > MAX_WORDS)
    throw usage(`a command line of more than ${MAX_WORDS} words`, 'xargs -n makes several');
  if (request.argv.some(lostBytes))
    throw usage('an argument of the command is no UTF-8', 'name it inside: sh -c, or a file that holds it');
  checkNames(request);
  const mounts = mountsOf(request);
  const root = request.image ?? rootOf(request);
  const sources = parseSecretSources(request.secrets, request.env);
  const env = environmentOf(request.env, request.hasEdge);
  const wanted = wantedBackend(request);
  const { backend, layers } = await choose(wanted);
  if (request.requireCount) checkCounting(backend.name, layers);
  if (request.cpus !== null) checkCores(backend.name, layers);
  const read = sources.filter(({ from }) => !(request.dryRun && from.kind === 'command'));
  const secrets = new Map(read.map((source) => [source.name, readSecret(source)]));
  for (const [name, value] of secrets) env[name] = value;
  checkSizes(env);
  const masks = request.mask ?? secrets.size > 0;
  // The scrubber comes with the edge's policy code: loaded only when there is something to mask.
  const maskerOf = masks ? (await import('./mask.ts')).maskerOf : null;
  const known = maskerOf !== null && secrets.size > 0 ? maskerOf(secrets).text : hideWith(secrets);
  const session = makeSessionId();
  const limits = limitsOf(request);
  const { argv, omitted } = maskArgv(request.argv, known);
  return {
    layers,
    secretNames: sources.map(({ name }) => name),
    masker:
      maskerOf !== null
        ? (token) => maskerOf(new Map([...secrets, ...(token === null ? [] : ([['KEYWARDEN_TOKEN', token]] as const))]))
        : null,
    plan: {
      session,
      agent: request.agent,
      host: printable(hostname(), 64),
      backend,
      timeoutMs: request.timeoutSeconds * 1000,
      graceMs: GRACE_MS,
      capabilities: request.capabilities,
      requireCount: request.requireCount,
      folder: boxFolder(request.state, session, backend.name === 'namespace' && !needsDevices(mounts)),
      started: {
        program: printable(basename(known(program)), 128),
        argv,
        argv_omitted: omitted,
        root: root?.slice(0, 256) ?? null,
        mounts: mounts.map(({ source, destination, writable }) => ({
          source: source.slice(0, 256),
          destination: destination.slice(0, 256),
          writable,
        })),
        limits: {
          memory_bytes: limits.memoryBytes,
          cpus: limits.cpus,
          pids: limits.pids,
          open_files: limits.openFiles,
          file_bytes: limits.fileBytes,
          tmp_bytes: limits.tmpBytes,
          timeout_ms: request.timeoutSeconds * 1000,
        },
        layers: layers
          .slice(0, 64)
          .map(({ name, present, required }) => ({ name: name.slice(0, 64), present, required })),
        capabilities: [...request.capabilities],
        secrets: sources.map(({ name }) => name),
      },
      sandbox: {
        argv: request.argv,
        env,
        workdir: request.workdir ?? mounts.find(isFolder)?.destination ?? INSIDE_HOME,
        mounts,
        limits,
        egressPort: EGRESS_PORT,
        tty: request.tty,
        root,
        decoys: request.decoys,
      },
    },
  };
}

function checkNames(request: RunRequest): void {
  const problems = [
    AgentId.safeParse(request.agent).error?.issues.map((issue) => `--agent: ${issue.message}`),
    ...request.capabilities.map((name) =>
      CapabilityName.safeParse(name).error?.issues.map((i) => `--can ${name}: ${i.message}`),
    ),
  ].flatMap((list) => list ?? []);
  if (problems.length > 0) throw usage(problems.join('\n'));
  if (request.capabilities.length > 100)
    throw usage('--can: at most 100 capabilities a session', 'fewer of them, or two sessions');
  if (request.capabilities.length > 0 && !request.hasEdge)
    throw usage('--can needs an edge, and --no-edge is for none', 'leave one of them away');
  if (request.timeoutSeconds > MAX_TTL_SECONDS) throw usage('--timeout: a session lives at most 24h', '--timeout 24h');
  if (request.workdir !== null && !request.workdir.startsWith('/'))
    throw usage('--workdir: an absolute path in the sandbox', '--workdir /work');
}

function mountsOf(request: RunRequest): Mount[] {
  if (request.mounts.length === 0) return [];
  const list = textOrNull(CREDENTIAL_PATHS);
  const host = hostPaths(request.state.path, list);
  const mounts = request.mounts.map((text) => checkMount(parseMount(text), host, request.mountAnyway));
  if (mounts.length > 32) throw usage('--mount: at most 32 of them', 'mount a folder that holds several');
  const seen = new Set<string>();
  for (const { destination } of mounts) {
    if (seen.has(destination)) throw usage(`--mount: two of them for ${destination}`, 'give each a place of its own');
    seen.add(destination);
  }
  checkPlaces(mounts, list, INSIDE_HOME);
  checkNesting(mounts);
  return mounts;
}

const isFolder = ({ source }: Mount): boolean => statSync(source).isDirectory();

const A_ROOT = 'a folder with a system of its own: mmdebstrap makes one';

/** All of it can be read inside: never the host's own root, nor what holds homes or Keywarden's keys. */
function rootOf({ root, state }: RunRequest): string | null {
  if (root === null) return null;
  const path = rootFolder(root);
  const why = reasonAgainstRoot(path, hostPaths(state.path, null));
  if (why !== null) throw new Failure(`--root ${root}: ${why}`, A_ROOT);
  return path;
}

/** @throws Failure when there is none. */
export function rootFolder(root: string): string {
  let path: string;
  try {
    path = realpathSync(root);
  } catch (error) {
    throw new Failure(
      `--root ${root}: ${codeOf(error) === 'ENOENT' ? 'there is no such folder' : codeOf(error)}`,
      A_ROOT,
    );
  }
  if (!statSync(path).isDirectory()) throw new Failure(`--root ${root}: this is no folder`, A_ROOT);
  return path;
}

/** Root's agent that writes to a folder of root's gets device nodes of its own (see `identity.ts` of the namespace backend). */
const needsDevices = (mounts: readonly Mount[]): boolean =>
  process.getuid?.() === 0 && mounts.some((mount) => mount.writable);

/** The layers tell before anything starts; what the sandbox then really counts with is looked at again. */
function checkCounting(backend: BackendName, layers: readonly Layer[]): void {
  const absent = layers.filter((layer) => !layer.present && /count|notif/i.test(layer.name));
  if (absent.length === 0) return;
  throw new Failure(
    `--require-count: the ${backend} backend cannot count here: ${absent.map((l) => `${l.name} (${l.detail})`).join(', ')}`,
    absent.flatMap((l) => (l.mend === null ? [] : [l.mend])),
  );
}

/** The default of cores is a courtesy; who names a number relies on it. */
function checkCores(backend: BackendName, layers: readonly Layer[]): void {
  const absent = layers.find(({ name, present }) => name === CORE_LIMITS && !present);
  if (absent === undefined) return;
  throw new Failure(
    `--cpus: the ${backend} backend cannot bound cores here: ${absent.detail}`,
    absent.mend === null ? [] : [absent.mend, 'or leave --cpus away'],
  );
}

/** Even when output is not masked, a receipt holds no secret. */
function hideWith(secrets: ReadonlyMap<string, string>): (text: string) => string {
  const values = [...secrets.values()].filter((value) => value.length > 0).sort((a, b) => b.length - a.length);
  return (text) => values.reduce((all, value) => all.replaceAll(value, '[masked]'), text);
}

const printable = (text: string, max: number): string =>
  text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, max) || 'unknown';

function textOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
