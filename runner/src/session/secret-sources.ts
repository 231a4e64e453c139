import { isUtf8 } from 'node:buffer';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { Failure, usage } from '../failure.ts';
import { ownStreamsAgain } from '../sandbox/own-streams.ts';
import { NAME, nameOf } from './environment.ts';

/** Where a secret comes from, as `--secret NAME[=env:VAR|file:PATH|command:CMD]` says. */
export interface SecretSource {
  readonly name: string;
  readonly from:
    | { readonly kind: 'env'; readonly variable: string }
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'command'; readonly command: string };
}

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
const MAX_BYTES = 65_536;
const COMMAND_TIMEOUT_MS = 60_000;

const AS_FILE = 'put it into a file that the agent reads: --mount FILE:/work/FILE';

/** Variables that steer the sandbox itself, or what the dynamic linker and interpreters run before the agent does. */
const RESERVED = /^(KEYWARDEN_.*|LD_.*|PATH|HOME|BASH_ENV|ENV|NODE_OPTIONS|PYTHONSTARTUP)$/;

/**
 * Which of two sources of a secret was meant, or of a secret and a text, is not guessed: the agent would go on with the wrong one.
 *
 * @param env  What `--env` was given.
 */
export function parseSecretSources(texts: readonly string[], env: readonly string[]): SecretSource[] {
  const sources = texts.map(parseSecretSource);
  const variables = new Set(env.map(nameOf));
  for (const [i, { name }] of sources.entries()) {
    if (variables.has(name))
      throw usage(`${name} is given twice, by --env and by --secret`, [
        `when it is a secret, leave --env ${name} away: what --env sets is neither hidden nor masked`,
        `when it is none, leave --secret ${name} away`,
      ]);
    if (sources.findIndex((one) => one.name === name) < i)
      throw usage(`--secret ${name} is given twice`, 'leave one of them away');
  }
  return sources;
}

function parseSecretSource(text: string): SecretSource {
  const equals = text.indexOf('=');
  const name = nameOf(text);
  if (!VARIABLE.test(name)) throw usage(`--secret ${name}: not the name of an environment variable`, NAME);
  if (RESERVED.test(name)) throw usage(`--secret ${name}: this variable is not yours to set`, 'choose another name');
  if (equals < 0) return { name, from: { kind: 'env', variable: name } };
  const source = /^(env|file|command):(.+)$/s.exec(text.slice(equals + 1));
  // Said without the text: a value given here by mistake must not be shown again.
  if (source === null)
    throw usage(
      `--secret ${name}: say where it is, never what it is`,
      `--secret ${name}=env:VAR, file:PATH or command:CMD`,
    );
  const [, kind, where = ''] = source;
  if (kind === 'file') return { name, from: { kind, path: where } };
  if (kind === 'command') return { name, from: { kind, command: where } };
  if (!VARIABLE.test(where)) throw usage(`--secret ${name}=env:…: not the name of an environment variable`, NAME);
  return { name, from: { kind: 'env', variable: where } };
}

/** @throws Failure that names the secret, never its value. */
export function readSecret(
  { name, from }: SecretSource,
  env: NodeJS.ProcessEnv = process.env,
  patienceMs: number = COMMAND_TIMEOUT_MS,
): string {
  const value = withoutLastNewline(rawValue(name, from, env, patienceMs));
  if (value === '') throw new Failure(`the secret ${name} is empty`, 'look at where it comes from');
  if (Buffer.byteLength(value) > MAX_BYTES) throw tooLong(name);
  if (value.includes('\0'))
    throw new Failure(`the secret ${name} holds a NUL, which no environment variable can`, AS_FILE);
  return value;
}

const tooLong = (name: string): Failure => new Failure(`the secret ${name} is longer than ${MAX_BYTES} bytes`, AS_FILE);

function rawValue(name: string, from: SecretSource['from'], env: NodeJS.ProcessEnv, patienceMs: number): string {
  switch (from.kind) {
    case 'env': {
      const value = env[from.variable];
      if (value === undefined) throw new Failure(`the secret ${name}: ${from.variable} is not set`, `export it first`);
      // What is no UTF-8 was lost when Node read it.
      return textOf(name, Buffer.from(value), /\ufffd/.test(value));
    }
    case 'file':
      return textOf(name, beginningOf(name, from.path));
    case 'command':
      return textOf(name, saidBy(name, from.command, patienceMs));
  }
}

/** A secret that the agent would get otherwise than it is would be refused by whom it is for, and nobody would know why. */
function textOf(name: string, bytes: Buffer, lost = false): string {
  if (!lost && isUtf8(bytes)) return bytes.toString('utf8');
  throw new Failure(`the secret ${name} is no text in UTF-8`, AS_FILE);
}

/** Of what may have no end, as a device, no more is read than a secret may be long. */
function beginningOf(name: string, path: string): Buffer {
  const bytes = Buffer.alloc(MAX_BYTES + 3);
  let size = 0;
  try {
    const fd = openSync(path, 'r');
    try {
      for (let got = 1; got > 0 && size < bytes.length; size += got)
        got = readSync(fd, bytes, size, bytes.length - size, null);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new Failure(
      `the secret ${name}: cannot read ${path}: ${(error as NodeJS.ErrnoException).code}`,
      'name a file that you can read',
    );
  }
  if (size === bytes.length) throw tooLong(name);
  return bytes.subarray(0, size);
}

/** The person who runs us wrote it, as they would at their prompt: a shell is what they mean. */
function saidBy(name: string, command: string, patienceMs: number): Buffer {
  try {
    return execFileSync('/bin/sh', ['-c', command], {
      stdio: ['inherit', 'pipe', 'inherit'],
      timeout: patienceMs,
      // A shell may be deaf to the others.
      killSignal: 'SIGKILL',
      maxBuffer: MAX_BYTES * 2,
    });
  } catch (error) {
    const { status, code } = error as { status?: number | null; code?: string };
    if (code === 'ENOBUFS') throw tooLong(name);
    const how =
      code === 'ETIMEDOUT' ? ` to end within ${patienceMs / 1000} s` : status == null ? '' : ` with ${status}`;
    throw new Failure(
      `the secret ${name}: its command failed${how}`,
      'it is run by /bin/sh, must end within 60 s, and prints the secret alone',
    );
  } finally {
    ownStreamsAgain();
  }
}

const withoutLastNewline = (text: string): string => text.replace(/\r?\n$/, '');
