import { existsSync } from 'node:fs';
import { ROLES, type Role } from '../../../../src/protocol.ts';
import { Failure, usage } from '../../failure.ts';
import { makeOperatorKey, makeSigningKey, operatorEntryOf } from '../../state/keys.ts';
import { writePrivateFile } from '../../state/private-file.ts';
import { cannotWrite } from '../cannot-write.ts';
import { note, print, printJson } from '../terminal.ts';
import type { CreateOptions } from './keys.ts';

export function createKeys(options: CreateOptions): void {
  const roles = (options.roles ?? ROLES).map(roleOf);
  if (!/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/.test(options.operator))
    throw usage('an operator id is 1 to 64 of A-Z a-z 0-9 . _ @ -');
  const operatorKey = makeOperatorKey();
  const made = {
    KEYWARDEN_SIGNING_KEY: JSON.stringify(makeSigningKey()),
    KEYWARDEN_OPERATORS: JSON.stringify([operatorEntryOf(operatorKey, options.operator, roles)]),
    KEYWARDEN_OPERATOR_KEY: operatorKey,
  };
  if (options.out !== undefined) writeKeys(options.out, made, options.json === true);
  else if (options.json) printJson(made);
  else printKeys(made);
}

function printKeys(
  made: Readonly<Record<'KEYWARDEN_SIGNING_KEY' | 'KEYWARDEN_OPERATORS' | 'KEYWARDEN_OPERATOR_KEY', string>>,
): void {
  print('# What the edge must know; paste these two lines:');
  print(`printf '%s' '${made.KEYWARDEN_SIGNING_KEY}' | npx wrangler secret put KEYWARDEN_SIGNING_KEY`);
  print(`printf '%s' '${made.KEYWARDEN_OPERATORS}' | npx wrangler secret put KEYWARDEN_OPERATORS`);
  print('# What only the operator may know; keep it where passwords are kept:');
  print(`export KEYWARDEN_OPERATOR_KEY=${made.KEYWARDEN_OPERATOR_KEY}`);
  note('these are secrets, now in the scrollback of this terminal; --out FILE writes them to a file instead');
}

function writeKeys(file: string, made: Readonly<Record<string, string>>, json: boolean): void {
  if (existsSync(file)) throw new Failure(`${file} exists already and is left as it is`, 'name a new file');
  const text = json
    ? JSON.stringify(made, null, 2)
    : Object.entries(made)
        .map(([name, value]) => `${name}='${value}'`)
        .join('\n');
  try {
    writePrivateFile(file, `${text}\n`);
  } catch (error) {
    throw cannotWrite(file, error);
  }
  note(
    `wrote ${file} (mode 0600): the edge needs KEYWARDEN_SIGNING_KEY and KEYWARDEN_OPERATORS, the operator KEYWARDEN_OPERATOR_KEY`,
  );
}

function roleOf(name: string): Role {
  const role = ROLES.find((known) => known === name);
  if (role === undefined) throw usage(`${name} is no role`, `the roles are ${ROLES.join(', ')}`);
  return role;
}
