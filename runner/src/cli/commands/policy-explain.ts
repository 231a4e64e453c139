import { readFileSync } from 'node:fs';
import { EXIT, Failure, usage } from '../../failure.ts';
import { compileDirectory, offline } from '../../policy/compile.ts';
import { inProject } from '../../project.ts';
import { harmless, print, printJson } from '../terminal.ts';

export interface ExplainOptions {
  readonly agent: string;
  readonly can?: readonly string[];
  readonly body?: string;
  readonly contentType?: string;
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
  const contentType = options.contentType ?? (body === null ? undefined : 'application/json');
  const bundle = await compileDirectory(options.policies ?? inProject('policies'), {
    allowLoopbackHttp: options.dev === true,
  });
  const { explainAccess } = await offline();
  const request = {
    service,
    method,
    target,
    can: [...(options.can ?? []), ...capabilities],
    agent: options.agent,
    session: options.session ?? null,
    headers: new Map(contentType === undefined ? [] : [['content-type', contentType]]),
    body,
    now: Date.now(),
  };
  const explanation = explainAccess(bundle, request, options.dev === true);
  if (options.json) printJson(explanation);
  else for (const line of explanation.words) print(harmless(line));
  return explanation.verdict === 'allow' && explanation.notGrantable.length === 0 ? EXIT.ok : EXIT.negative;
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
