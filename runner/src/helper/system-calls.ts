import { readFileSync } from 'node:fs';
import { inPackage } from '../project.ts';

/** What the agent's system calls meet: data, from which the helper's filter and its table of names are made. */
export const SYSTEM_CALLS = inPackage('helper/system-calls.txt');

export type Machine = 'x64' | 'arm64';
export type Action = 'path' | 'block' | 'allow' | 'none';

/** Of argument `index`, after `mask`: equal to `value`, or any bit of the mask when that is null. */
export interface Condition {
  readonly index: number;
  readonly mask: number;
  readonly value: number | null;
}

export interface Clause {
  readonly action: Action;
  readonly conditions: readonly Condition[];
}

export interface SystemCall {
  readonly name: string;
  /** Where the C library's headers may not know it; null: theirs. */
  readonly number: number | null;
  /** The first whose conditions are all met; the last one has none. */
  readonly clauses: readonly Clause[];
  /** How the path of a `path` call is found. `folder` is null for the working directory. */
  readonly path: PathArguments | null;
}

export interface PathArguments {
  readonly folder: number | null;
  readonly argument: number;
  /** Gives no content away. */
  readonly looks: boolean;
  /** Judged and counted, but not let through whatever its path is. */
  readonly never: boolean;
}

interface Line {
  readonly name: string;
  readonly number: number | null;
  readonly clause: Clause;
  readonly path: PathArguments | null;
}

/** @throws {SyntaxError} with the number of the line: a list that is not understood makes no filter. */
export function parseSystemCalls(text: string, machine: Machine): readonly SystemCall[] {
  const calls = new Map<string, SystemCall>();
  for (const [index, written] of text.split('\n').entries()) {
    const words = written.replace(/#.*/, '').trim().split(/\s+/);
    if (words[0] === '') continue;
    const fail = (why: string): never => {
      throw new SyntaxError(`line ${index + 1}: ${why}`);
    };
    const line = parseLine(words, machine, fail);
    if (line === null) continue;
    const known = calls.get(line.name);
    if (known?.clauses.at(-1)?.conditions.length === 0) fail(`${line.name} is decided above`);
    calls.set(line.name, {
      name: line.name,
      number: line.number ?? known?.number ?? null,
      clauses: [...(known?.clauses ?? []), line.clause],
      path: line.path,
    });
  }
  for (const { name, clauses } of calls.values()) {
    if (clauses.at(-1)?.conditions.length !== 0) throw new SyntaxError(`${name} has no line without a condition`);
  }
  return [...calls.values()];
}

export function machineOf(machine: string = process.arch): Machine {
  if (machine !== 'x64' && machine !== 'arm64') throw new SyntaxError(`no filter for ${machine}`);
  return machine;
}

/** For this process's own machine, from the list as shipped. */
export const systemCalls = (machine?: string): readonly SystemCall[] =>
  parseSystemCalls(readFileSync(SYSTEM_CALLS, 'utf8'), machineOf(machine));

/** What the filter refuses, always or by its arguments. */
export const refusedCalls = (calls: readonly SystemCall[]): string[] =>
  calls.filter(({ clauses }) => clauses.some(({ action }) => action === 'block')).map(({ name }) => name);

function parseLine([action, who, ...rest]: string[], machine: Machine, fail: (why: string) => never): Line | null {
  const [, only, name, number] = /^(?:(x64|arm64):)?([a-z][a-z0-9_]*)(?:=(\d+))?$/.exec(who ?? '') ?? [];
  if (name === undefined) return fail('a line is `action name …`');
  if (action !== 'path' && action !== 'block' && action !== 'allow' && action !== 'none') {
    return fail('an action is path, block, allow or none');
  }
  const path = action === 'path' ? pathOf(rest, fail) : null;
  const conditions = path === null ? rest.map((text) => parseCondition(text) ?? fail(`${text} is no condition`)) : [];
  if (only !== undefined && only !== machine) return null;
  return { name, number: number === undefined ? null : Number(number), clause: { action, conditions }, path };
}

function pathOf([folder, argument, kind, more]: string[], fail: (why: string) => never): PathArguments {
  const fits = /^[0-5-]$/.test(folder ?? '') && /^[0-5]$/.test(argument ?? '') && more === undefined;
  if (!fits || !(kind === undefined || kind === 'looks' || kind === 'never'))
    fail('a path call has a folder, a path, and perhaps `looks` or `never`');
  return {
    folder: folder === '-' ? null : Number(folder),
    argument: Number(argument),
    looks: kind === 'looks',
    never: kind === 'never',
  };
}

function parseCondition(text: string): Condition | null {
  const number = '0x[0-9a-f]{1,8}|[0-9]{1,9}';
  const found = new RegExp(`^arg([0-5])(?:&(${number}))?(?:=(${number}))?$`).exec(text);
  if (found === null || (found[2] === undefined && found[3] === undefined)) return null;
  const value = found[3] === undefined ? null : Number(found[3]);
  return { index: Number(found[1]), mask: found[2] === undefined ? 0xffffffff : Number(found[2]), value };
}
