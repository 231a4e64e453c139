import { readFileSync } from 'node:fs';
import type { Explanation, PolicyBundle } from '../../../../src/offline.ts';
import { EXIT, Failure, usage } from '../../failure.ts';
import { compileDirectory, offline } from '../../policy/compile.ts';
import { inProject } from '../../project.ts';
import type { HeaderField } from '../arguments.ts';
import { harmless, note, print, printJson } from '../terminal.ts';

export interface ExplainOptions {
  readonly agent: string;
  readonly can?: readonly string[];
  readonly body?: string;
  readonly contentType?: string;
  readonly header?: readonly HeaderField[];
  readonly session?: string;
  readonly policies?: string;
  readonly dev?: boolean;
  readonly json?: boolean;
}

/** @returns the exit code: 0 when the call would be allowed; a need of approval is no allowance. */
export async function explainPolicy(words: readonly string[], options: ExplainOptions): Promise<number> {
  // `--can A B METHOD PATH`: an option of several values would swallow what follows, so the words are told apart here.
  const capabilities = words.filter((word) => /^[^/]+:[^/]+$/.test(word));
  const [method, path, ...rest] = words.filter((word) => !capabilities.includes(word));
  if (method === undefined || path === undefined || rest.length > 0) {
    throw usage(
      'name one METHOD and one PATH',
      'keywarden policy explain --agent demo --can stripe:read_balance GET stripe/v1/balance',
    );
  }
  const { service, target } = splitPath(path);
  const body = bodyOf(options.body);
  const bundle = await compileDirectory(options.policies ?? inProject('policies'), {
    allowLoopbackHttp: options.dev === true,
  });
  const can = [...(options.can ?? []), ...capabilities];
  await refuseUnknown(can, bundle);
  const { explainAccess } = await offline();
  const request = {
    service,
    method,
    target,
    can,
    agent: options.agent,
    session: options.session ?? null,
    headers: headersOf(options, body !== null),
    body,
    now: Date.now(),
  };
  const explanation = explainAccess(bundle, request, options.dev === true);
  if (options.json) printJson(jsonOf(explanation));
  else for (const line of explanation.words) print(harmless(line));
  for (const hint of await hintsOf(explanation, bundle)) note(hint);
  return explanation.verdict === 'allow' && explanation.notGrantable.length === 0 ? EXIT.ok : EXIT.negative;
}

/** As `POST /v1/policies/explain` names them, and the denial's evidence, which is for who has the policies. */
function jsonOf({ verdict, capability, path, notGrantable, rules, denial, words }: Explanation) {
  return { verdict, capability, path, not_grantable: notGrantable, rules, denial, words };
}

/** As the edge sees them: a field sent twice is joined (RFC 9110 §5.3). */
function headersOf({ header = [], contentType }: ExplainOptions, body: boolean): Map<string, string> {
  const headers = new Map<string, string>();
  for (const [name, value] of header) headers.set(name, headers.has(name) ? `${headers.get(name)}, ${value}` : value);
  if (contentType !== undefined) headers.set('content-type', contentType);
  else if (body && !headers.has('content-type')) headers.set('content-type', 'application/json');
  return headers;
}

/** A token never carries a capability that no policy has. */
async function refuseUnknown(can: readonly string[], bundle: PolicyBundle): Promise<void> {
  const known = Object.values(bundle.services).flatMap((one) => one.capabilities.map(({ name }) => name));
  const unknown = can.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const { closestOf } = await offline();
  const near = closestOf(unknown, known);
  throw usage(`no policy has the capability ${unknown}`, near === null ? [] : `did you mean ${near}?`);
}

async function hintsOf({ denial, notGrantable }: Explanation, { agents, services }: PolicyBundle): Promise<string[]> {
  const { closestOf } = await offline();
  const near = denial?.kind === 'service_unknown' ? closestOf(denial.service, Object.keys(services)) : null;
  return [
    ...(near === null ? [] : [`did you mean ${near}?`]),
    ...(agents.source === 'absent' && notGrantable.length > 0
      ? ['with --dev it is judged as under keywarden dev, where without agents.yaml any agent may hold anything']
      : []),
  ];
}

/** `/proxy/stripe/v1/balance`, `stripe/v1/balance` or the whole URL: the service, and the raw rest. */
function splitPath(path: string): { service: string; target: string } {
  const match = /^(?:https?:\/\/[^/]+)?\/?(?:proxy\/)?([^/?]+)(.*)$/.exec(path);
  if (match?.[1] === undefined) throw usage(`${path} names no service`, 'write it as /proxy/stripe/v1/balance');
  return { service: match[1], target: match[2] || '/' };
}

function bodyOf(text: string | undefined): string | null {
  if (text === undefined) return null;
  if (!text.startsWith('@')) return text;
  try {
    return readFileSync(text === '@-' ? 0 : text.slice(1), 'utf8');
  } catch (error) {
    throw new Failure(`cannot read ${text.slice(1)}: ${(error as Error).message}`, [], EXIT.usage);
  }
}
