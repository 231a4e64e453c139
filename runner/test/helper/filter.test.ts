import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ABI, ALLOW, ASK, filterOf, type Instruction, KILL, MISSING, REFUSE } from '../../src/helper/filter.ts';
import { type Machine, parseSystemCalls, SYSTEM_CALLS, systemCalls } from '../../src/helper/system-calls.ts';
import { tablesOf } from '../../src/helper/tables.ts';

type Args = readonly [number, number, number, number?];

interface Asked {
  readonly abi: number;
  readonly number: number;
  readonly args: Args;
}

/** The kernel's side of classic BPF, as far as our filter goes. Numbers of calls are made up: one for each name. */
function run(program: readonly Instruction[], machine: Machine, { abi, number, args }: Asked): string {
  const data: Readonly<Record<number, number>> = {
    0: number,
    4: abi,
    16: args[0],
    24: args[1],
    32: args[2],
    40: args[3] ?? 0,
  };
  let accumulator = 0;
  for (let at = 0; ; at++) {
    const { code, k, yes, no } = program[at] as Instruction;
    if (code === 'return') return String(k);
    const value = typeof k === 'number' ? k : k === ABI[machine] ? HERE : numberOf(k.replace('__NR_', ''));
    if (code === 'load') accumulator = data[value] as number;
    else if (code === 'and') accumulator = (accumulator & value) >>> 0;
    else if (code === 'equal') at += accumulator === value ? yes : no;
    else if (code === 'at-least') at += accumulator >= value ? yes : no;
    else at += (accumulator & value) !== 0 ? yes : no;
  }
}

const HERE = 1;
const numbers = new Map<string, number>();
function numberOf(name: string): number {
  const given = systemCalls('x64').find((call) => call.name === name)?.number;
  if (given !== null && given !== undefined) return given;
  if (!numbers.has(name)) numbers.set(name, 100 + numbers.size);
  return numbers.get(name) as number;
}

const counting = filterOf(systemCalls('x64'), 'x64', true);
const silent = filterOf(systemCalls('x64'), 'x64', false);
const ask = (name: string, args: Args = [0, 0, 0], program = counting): string =>
  run(program, 'x64', { abi: HERE, number: numberOf(name), args });

describe('the filter', () => {
  it('kills for another ABI, and for x32 (B27)', () => {
    expect(run(counting, 'x64', { abi: 2, number: 0, args: [0, 0, 0] })).toBe(KILL);
    expect(run(counting, 'x64', { abi: HERE, number: 0x40000000, args: [0, 0, 0] })).toBe(KILL);
    expect(run(silent, 'x64', { abi: HERE, number: 0x40000202, args: [0, 0, 0] })).toBe(KILL);
  });

  it.each<[string, Args, string, unasked?: string]>([
    ['openat', [0, 0, 0], ASK],
    ['newfstatat', [0, 0, 0], ASK],
    ['faccessat2', [0, 0, 0], ASK],
    ['read', [0, 0, 0], ALLOW],
    ['clone3', [0, 0, 0], MISSING],
    ['clone', [0x11, 0, 0], ALLOW],
    ['clone', [0x10000011, 0, 0], ASK],
    ['clone', [0x00020000, 0, 0], ASK],
    ['ioctl', [0, 0x5412, 0], ASK],
    ['ioctl', [0, 0x541c, 0], ASK],
    ['ioctl', [0, 0x5413, 0], ALLOW],
    ['socket', [1, 1, 0], ALLOW],
    ['socket', [2, 0x80001, 6], ALLOW],
    ['socket', [10, 0x80802, 0], ALLOW],
    ['socket', [2, 3, 1], ASK],
    ['socket', [2, 0x80003, 1], ASK],
    ['socket', [16, 3, 0], ALLOW],
    ['socket', [16, 3, 9], ASK],
    ['socket', [17, 1, 0], ASK],
    ['socket', [40, 1, 0], ASK],
    ['socket', [2, 10, 3], ASK],
    ['socketpair', [1, 1, 0], ALLOW],
    ['socketpair', [40, 1, 0], ASK],
    ['rename', [0, 0, 0], ASK],
    ['linkat', [0, 0, 0], ASK],
    ['seccomp', [1, 0, 0], ALLOW],
    ['seccomp', [1, 8, 0], ASK],
    ['seccomp', [1, 0x28, 0], ASK],
    ['personality', [0, 0, 0], ALLOW],
    ['personality', [0xffffffff, 0, 0], ALLOW],
    ['personality', [0x40000, 0, 0], ASK],
    ['openat', [0, 0, 0x41, 0o4755], ASK, REFUSE],
    ['openat', [0, 0, 0x410000, 0o4755], ASK, REFUSE],
    ['openat', [0, 0, 0x41, 0o2755], ASK, ALLOW],
    ['openat', [0, 0, 1, 0o4755], ASK, ALLOW],
    ['open', [0, 0x41, 0o4755], ASK, REFUSE],
    ['creat', [0, 0o4755, 0], ASK, REFUSE],
    ['creat', [0, 0o755, 0], ASK, ALLOW],
    ['openat2', [0, 0, 0], ASK, MISSING],
    ['chmod', [0, 0o4755, 0], ASK],
    ['chmod', [0, 0o2775, 0], ALLOW],
    ['fchmod', [0, 0o4755, 0], ASK],
    ['fchmod', [0, 0o1777, 0], ALLOW],
    ['fchmodat', [0, 0, 0o6755], ASK],
    ['fchmodat', [0, 0, 0o755], ALLOW],
    ['fchmodat2', [0, 0, 0o4000], ASK],
    ['fchmodat2', [0, 0, 0o644], ALLOW],
    ['mknodat', [0, 0, 0o104755], ASK],
    ['mknod', [0, 0o104755, 0], ASK],
    ['mknodat', [0, 0, 0x21b6], ASK],
    ['mknodat', [0, 0, 0x61b6], ASK],
    ['mknodat', [0, 0, 0x11b6], ALLOW],
    ['mknod', [0, 0x2180, 0], ASK],
    ['mknod', [0, 0x81a4, 0], ALLOW],
    ['ptrace', [0, 0, 0], ASK],
    ['prlimit64', [0, 7, 0], ALLOW],
    ['prlimit64', [1, 7, 0], ASK],
    ['sched_setattr', [1, 0, 0], ASK],
    ['sched_setattr', [0, 0, 0], ALLOW],
    ['sched_setaffinity', [1, 0, 0], ASK],
    ['setpriority', [0, 0, 19], ALLOW],
    ['setpriority', [0, 1, 19], ASK],
    ['setpriority', [1, 1, 19], ASK],
    ['setpriority', [2, 0, 19], ASK],
    ['ioprio_set', [1, 0, 0], ALLOW],
    ['ioprio_set', [1, 1, 0], ASK],
    ['ioprio_set', [3, 1000, 0], ASK],
    ['open_tree_attr', [0, 0, 0], ASK],
  ])('answers %s(%j) with %s', (name, args, answer, unasked) => {
    expect(ask(name, args)).toBe(answer);
    const refused = answer === ASK ? (systemCalls('x64').find((c) => c.name === name)?.path ? ALLOW : REFUSE) : answer;
    expect(ask(name, args, silent)).toBe(unasked ?? refused);
  });

  it('has an answer for every call and all arguments, and none but these', () => {
    const names = systemCalls('x64').map(({ name }) => name);
    const argument = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.tuple(argument, argument, argument), (name, args) => {
        expect([ALLOW, ASK, MISSING]).toContain(ask(name, args));
        expect([ALLOW, REFUSE, MISSING]).toContain(ask(name, args, silent));
      }),
    );
  });

  it('does not know what is newer than its list', () => {
    for (const program of [counting, silent]) {
      const answer = (number: number) => run(program, 'x64', { abi: HERE, number, args: [0, 0, 0] });
      expect([469, 470, 1000, 0x3fffffff].map(answer)).toEqual([ALLOW, MISSING, MISSING, MISSING]);
    }
  });

  it('of an arm64 machine has no call that only x64 has', () => {
    const program = filterOf(systemCalls('arm64'), 'arm64', true);
    const named = program.map(({ k }) => k);
    expect(named).toContain('__NR_openat');
    expect(named).not.toContain('__NR_open');
    expect(named).not.toContain('__NR_modify_ldt');
  });
});

describe('the list of system calls', () => {
  it('as shipped, decides every call that it names', () => {
    const text = readFileSync(SYSTEM_CALLS, 'utf8');
    for (const machine of ['x64', 'arm64'] as const) expect(parseSystemCalls(text, machine).length).toBeGreaterThan(50);
  });

  it.each([
    ['an action that is none', 'refuse ptrace', 'line 1: an action is path, block, allow or none'],
    ['a name alone', 'ptrace', 'line 1: a line is `action name …`'],
    ['a name that is none', 'block a/b', 'line 1: a line is `action name …`'],
    [
      'a path without its arguments',
      '\npath openat',
      'line 2: a path call has a folder, a path, and perhaps `looks` or `never`',
    ],
    [
      'a path with more',
      'path openat 0 1 reads',
      'line 1: a path call has a folder, a path, and perhaps `looks` or `never`',
    ],
    ['a condition that is none', 'block ioctl arg9=1', 'line 1: arg9=1 is no condition'],
    ['a condition on nothing', 'block ioctl arg1', 'line 1: arg1 is no condition'],
    ['a line that comes too late', 'block ptrace\nallow ptrace arg0=1', 'line 2: ptrace is decided above'],
    ['a call that is left open', 'block ioctl arg1=1', 'ioctl has no line without a condition'],
  ])('refuses %s, and says where', (_, list, why) => {
    expect(() => parseSystemCalls(list, 'x64')).toThrow(why);
  });

  it.each([
    ['two of them', 'block open arg1&1\nblock open arg2&1\npath open - 0'],
    ['three conditions', 'block open arg1&1 arg2&1 arg3&1\npath open - 0'],
    ['a value', 'block open arg1=1\npath open - 0'],
  ])('of a call that is judged by its path: what the helper cannot tell again is no table (%s)', (_, list) => {
    expect(() => tablesOf(parseSystemCalls(list, 'x64'), [], 'x64')).toThrow(
      /^open is judged by its path: one `block`/,
    );
  });

  it('of a call that is judged by its path has the bits by which it is refused, twice when they are of one argument', () => {
    const list =
      'block open arg1&0x40 arg2&0x800\npath open - 0\nblock creat arg1&8\npath creat - 0\npath stat - 0 looks';
    const tables = tablesOf(parseSystemCalls(list, 'x64'), [], 'x64');
    expect(tables).toContain('"open", -1, 0, false, false, {{1, 64}, {2, 2048}}}');
    expect(tables).toContain('"creat", -1, 0, false, false, {{1, 8}, {1, 8}}}');
    expect(tables).toContain('"stat", -1, 0, true, false, {{0, 0}}}');
  });

  it('of a machine without one makes no filter', () =>
    expect(() => systemCalls('riscv64')).toThrow('no filter for riscv64'));
});
