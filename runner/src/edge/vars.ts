import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { Failure } from '../failure.ts';

/** Names that the edge itself binds; a vars file may not take them. */
const TAKEN = new Set(['DB', 'LEDGER', 'DIRECTORY', 'KEYWARDEN_MODE']);

/**
 * Reads a file in `.dev.vars` form (dotenv).
 *
 * @returns name → value; an empty value is left out, since it is no secret.
 * @throws Failure when it cannot be read or binds a taken name. No value is ever in its text.
 */
export function readVars(file: string): Record<string, string> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Failure(
      `cannot read the vars file ${file}: ${existsSync(file) ? (error as Error).message : 'it does not exist'}`,
      "it holds the secrets, one NAME=value a line, as wrangler's .dev.vars",
    );
  }
  const vars: Record<string, string> = {};
  for (const [name, value] of Object.entries(parseEnv(text))) {
    if (value === undefined || value === '') continue;
    if (TAKEN.has(name))
      throw new Failure(`${file} sets ${name}, which keywarden dev sets itself`, `remove ${name} from the file`);
    vars[name] = value;
  }
  return vars;
}
