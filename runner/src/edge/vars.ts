import { existsSync, readFileSync, statSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { Failure } from '../failure.ts';

/** Names that the edge itself binds; a vars file may not take them. */
const TAKEN = new Set(['DB', 'LEDGER', 'DIRECTORY', 'APPROVALS', 'ASSETS', 'KEYWARDEN_MODE']);

/** All other names that begin so: those of src/env.ts. No policy can name a secret like that. */
const OWN = 'KEYWARDEN_';
export const SETTINGS: ReadonlySet<string> = new Set(
  [
    'ISSUER',
    'AUDIENCE',
    'SIGNING_KEY',
    'PREVIOUS_KEY',
    'OPERATORS',
    'ACCESS_ISSUER',
    'ACCESS_AUDIENCE',
    'ACCESS_ROLES',
    'AUDIT_RETENTION_DAYS',
    'SIGNALS',
    'ALERT_WEBHOOK_URL',
    'LEDGER_MAX_WAITING_ROWS',
    'OUTCOME_TIMEOUT_SECONDS',
    'APPROVAL_WEBHOOK_URL',
    'WEBHOOK_SECRET',
    'APPROVAL_MAX_PENDING',
    'APPROVAL_MAX_HOURLY',
  ].map((name) => OWN + name),
);

/**
 * Reads a file in `.dev.vars` form (dotenv): `NAME=value`, with `export` or quotes if wanted, blank lines and comments.
 *
 * @returns name → value; an empty value is left out, since it is no secret.
 * @throws Failure when it cannot be read, has a line of another form, sets a name twice, a taken one or a setting that is none. No value, and nothing of
 *   a line that could hold one, is ever in its text.
 */
export function readVars(file: string): Record<string, string> {
  let text: string;
  try {
    text = textOf(file);
  } catch (error) {
    throw new Failure(
      `cannot read the vars file ${file}: ${existsSync(file) ? (error as Error).message : 'it does not exist'}`,
      "it holds the secrets, one NAME=value a line, as wrangler's .dev.vars",
    );
  }
  // As another encoding every line would be none, and none of that would say why.
  if (text.includes('\0'))
    throw new Failure(`the vars file ${file} is no UTF-8 text: there are null bytes in it`, 'save it as UTF-8');
  const vars: Record<string, string> = {};
  for (const { name, value } of entriesOf(text, file)) {
    if (value === '') continue;
    if (TAKEN.has(name))
      throw new Failure(`${file} sets ${name}, which keywarden dev sets itself`, `remove ${name} from the file`);
    // A bound that is misspelt would be the default, in silence.
    if (name.startsWith(OWN) && !SETTINGS.has(name))
      throw new Failure(`${file} sets ${name}, which is no setting of the edge`, [
        `the settings are ${[...SETTINGS].join(', ')}`,
      ]);
    vars[name] = value;
  }
  return vars;
}

/** A pipe gives its text once (`--vars <(op inject …)`): a reload has what the start had. */
const fromPipes = new Map<string, string>();

function textOf(file: string): string {
  const kept = fromPipes.get(file);
  if (kept !== undefined) return kept;
  const text = readFileSync(file, 'utf8');
  if (statSync(file).isFIFO()) fromPipes.set(file, text);
  return text;
}

interface Entry {
  readonly name: string;
  readonly value: string;
  readonly line: number;
}

/** `parseEnv` skips what it does not understand and lets the last of two win: a secret would be missing, or another, in silence. */
function entriesOf(text: string, file: string): Entry[] {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  const entries = new Map<string, Entry>();
  const problems: string[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const line = at + 1;
    const here = lines[at] ?? '';
    if (/^\s*(#|$)/.test(here)) continue;
    const found = /^\s*(?:export\s+)?([\w.-]+)\s*=\s*(.*)$/.exec(here);
    if (found === null) {
      problems.push(
        `${file}:${line}: ${/^\s*=/.test(here) ? 'there is no name before the =' : 'it is not NAME=value'}`,
      );
      continue;
    }
    const [, name = '', first = ''] = found;
    let raw = first;
    const quote = /^['"`]/.exec(first)?.[0];
    if (quote !== undefined) {
      // A quoted value may go on over several lines.
      let last = at;
      while (raw.indexOf(quote, 1) === -1 && last + 1 < lines.length) raw += `\n${lines[++last]}`;
      const close = raw.indexOf(quote, 1);
      if (close === -1) {
        problems.push(`${file}:${line}: the quote before the value of ${name} is never closed`);
        continue;
      }
      if (!/^\s*(#|$)/.test(raw.slice(close + 1))) {
        problems.push(`${file}:${last + 1}: something follows the quoted value of ${name}`);
        continue;
      }
      at = last;
    } else if (/\S#|^#\S/.test(first)) {
      // dotenv ends the value there: half a credential would be used and looked for in answers.
      problems.push(
        `${file}:${line}: a # within the value of ${name}, which has no quotes, begins a comment: quote it`,
      );
      continue;
    }
    const before = entries.get(name);
    if (before === undefined) entries.set(name, { name, value: parseEnv(`${name}=${raw}`)[name] ?? '', line });
    else problems.push(`${file}:${line}: ${name} is set already in line ${before.line}`);
  }
  if (problems.length > 0)
    throw new Failure(problems.join('\n'), [
      'one NAME=value a line, each name once; a comment begins with #; a value with a # or of several lines stands in quotes',
    ]);
  return [...entries.values()];
}
