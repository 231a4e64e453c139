import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Failure } from '../failure.ts';
import {
  checkOperatorKey,
  checkSigningKey,
  makeOperatorKey,
  makeSigningKey,
  REMAKE_KEY,
  type SigningJwk,
} from './keys.ts';
import { mendOfPlace, openPrivateDirectory, readPrivateFile, writePrivateFile } from './private-file.ts';

/** What a running local edge says about itself in `edge.json`. */
export interface EdgeRecord {
  readonly url: string;
  readonly pid: number;
  /** RFC 3339, UTC. */
  readonly started_at: string;
}

/** `.keywarden/`: the keys and the storage of one local edge. Every file in it is of mode 0600, the directory 0700. */
export interface StateDirectory {
  readonly path: string;
  readonly edgeFile: string;
  readonly operatorKeyFile: string;
  readonly signingKeyFile: string;
  readonly lockFile: string;
  /** Where workerd keeps D1 and the Durable Objects. */
  readonly storage: string;
}

export function stateDirectoryAt(path: string): StateDirectory {
  const root = resolve(path);
  return {
    path: root,
    edgeFile: join(root, 'edge.json'),
    operatorKeyFile: join(root, 'operator.key'),
    signingKeyFile: join(root, 'signing.jwk'),
    lockFile: join(root, 'edge.lock'),
    storage: join(root, 'storage'),
  };
}

/** The nearest `.keywarden/` that holds an operator key, from `from` upwards, or null. */
export function nearestStateDirectory(from: string): StateDirectory | null {
  for (let at = resolve(from); ; at = dirname(at)) {
    const state = stateDirectoryAt(join(at, '.keywarden'));
    if (existsSync(state.operatorKeyFile)) return state;
    if (at === dirname(at)) return null;
  }
}

/** @returns null when no edge ever wrote its address there. */
export function readEdgeRecord(state: StateDirectory): EdgeRecord | null {
  const text = readPrivateFile(state.edgeFile);
  if (text === null) return null;
  try {
    const record = JSON.parse(text) as EdgeRecord;
    if (typeof record.url === 'string' && URL.canParse(record.url) && Number.isInteger(record.pid)) return record;
  } catch {
    // Said below.
  }
  throw new Failure(`${state.edgeFile} is damaged`, 'delete it and start keywarden dev again');
}

export interface LocalKeys {
  readonly operatorKey: string;
  readonly signingKey: SigningJwk;
  /** What was made just now, for a note. */
  readonly made: readonly string[];
}

/** Opens the directory, reads its keys, makes those that are missing. Damaged or open ones are refused, never replaced. */
export function openStateDirectory(state: StateDirectory): LocalKeys {
  openPrivateDirectory(state.path);
  openPrivateDirectory(state.storage);
  const made: string[] = [];
  let operatorKey = readPrivateFile(state.operatorKeyFile);
  if (operatorKey === null) {
    operatorKey = makeOperatorKey();
    writeKey(state.operatorKeyFile, operatorKey);
    made.push(state.operatorKeyFile);
  }
  let signingKey = readPrivateFile(state.signingKeyFile);
  if (signingKey === null) {
    signingKey = JSON.stringify(makeSigningKey());
    writeKey(state.signingKeyFile, signingKey);
    made.push(state.signingKeyFile);
  }
  return {
    operatorKey: checkOperatorKey(operatorKey, state.operatorKeyFile, REMAKE_KEY),
    signingKey: checkSigningKey(
      signingKey,
      state.signingKeyFile,
      `delete it: keywarden dev makes a new one, and tokens signed by the old one end`,
    ),
    made,
  };
}

function writeKey(file: string, key: string): void {
  try {
    writePrivateFile(file, `${key}\n`);
  } catch (error) {
    throw new Failure(`the key cannot be written to ${file}: ${(error as Error).message}`, mendOfPlace(error));
  }
}
