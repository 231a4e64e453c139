import { Failure } from '../failure.ts';
import { shellWord } from '../shell-word.ts';
import { checkOperatorKey, REMAKE_KEY } from '../state/keys.ts';
import { leftBehindBy } from '../state/lock.ts';
import { readPrivateFile } from '../state/private-file.ts';
import {
  nearestStateDirectory,
  readEdgeRecord,
  type StateDirectory,
  stateDirectoryAt,
} from '../state/state-directory.ts';

/** Where the edge is, and the key that makes us one of its operators. */
export interface EdgeAddress {
  /** Without a slash at its end. */
  readonly url: string;
  readonly operatorKey: string;
  /** Where it was found, for people. */
  readonly source: string;
}

/**
 * Finds the edge: in `--state DIR`; else in KEYWARDEN_URL and KEYWARDEN_OPERATOR_KEY; else in the nearest `.keywarden/`.
 *
 * @throws Failure saying what is missing and how to get it.
 */
export function findEdge(
  stateDir: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
  cwd = process.cwd(),
): EdgeAddress {
  if (stateDir !== undefined) return fromState(stateDirectoryAt(stateDir));
  const url = env['KEYWARDEN_URL'];
  const key = env['KEYWARDEN_OPERATOR_KEY'];
  if (url && key)
    return {
      url: checkedUrl(url),
      operatorKey: checkOperatorKey(
        key,
        'the environment variable KEYWARDEN_OPERATOR_KEY',
        'set KEYWARDEN_OPERATOR_KEY to the key of an operator of that edge, or unset it and KEYWARDEN_URL for the nearest .keywarden/',
      ),
      source: 'KEYWARDEN_URL',
    };
  if (key)
    throw new Failure(
      'KEYWARDEN_OPERATOR_KEY is set but KEYWARDEN_URL is not',
      'set both, or neither to use the nearest .keywarden/',
    );
  // The sandbox of an agent has KEYWARDEN_URL alone: without an operator key it is no reason to look elsewhere quietly.
  if (url)
    throw new Failure(
      'KEYWARDEN_URL is set but KEYWARDEN_OPERATOR_KEY is not',
      'set both, or neither to use the nearest .keywarden/',
    );
  const state = nearestStateDirectory(cwd);
  if (state === null) {
    throw new Failure('no edge found: no --state, no KEYWARDEN_URL, no .keywarden/ here or above', [
      'start one: keywarden dev',
      'or set KEYWARDEN_URL and KEYWARDEN_OPERATOR_KEY',
    ]);
  }
  return fromState(state);
}

function fromState(state: StateDirectory): EdgeAddress {
  const key = readPrivateFile(state.operatorKeyFile);
  const record = readEdgeRecord(state);
  if (key === null)
    throw new Failure(
      `${state.path} holds no operator.key`,
      'keywarden dev makes one; or name another directory with --state DIR',
    );
  // Where a killed edge listened, anybody may listen by now, and would be given the key.
  const killed = leftBehindBy(state.lockFile);
  if (record === null || killed !== null)
    throw new Failure(
      `no edge is running on ${state.path}${killed === null ? '' : `: the one of pid ${killed} was killed, or served the directory that this is a copy of`}`,
      `start it: keywarden dev --state ${shellWord(state.path)}`,
    );
  return {
    url: checkedUrl(record.url),
    operatorKey: checkOperatorKey(key, state.operatorKeyFile, REMAKE_KEY),
    source: state.path,
  };
}

/** Over a network without TLS: whoever stands in between reads and alters. */
export function isInTheClear(url: URL): boolean {
  const local = url.hostname === 'localhost' || url.hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(url.hostname);
  return url.protocol === 'http:' && !local;
}

/** The operator key travels with every request: over the network only under TLS. */
function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new Failure(`${text} is no http(s) URL`, 'as in https://keywarden.example.com');
  if (isInTheClear(url)) {
    throw new Failure(`${text} is not encrypted, and the operator key must not travel in the clear`, 'use https://');
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new Failure(
      'KEYWARDEN_URL must be an address alone: no user, query or fragment',
      'as in https://keywarden.example.com',
    );
  }
  return url.href.replace(/\/+$/, '');
}
