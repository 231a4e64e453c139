import type { Clause, Condition, Machine, PathArguments, SystemCall } from './system-calls.ts';

/**
 * One instruction of classic BPF as seccomp has it (seccomp(2)). A `k` that is a string is a name of the C headers'. `yes` and
 * `no` say how many instructions a comparison skips.
 */
export interface Instruction {
  readonly code: 'load' | 'and' | 'equal' | 'at-least' | 'any-bit' | 'return';
  readonly k: number | string;
  readonly yes: number;
  readonly no: number;
}

export const ALLOW = 'SECCOMP_RET_ALLOW';
export const ASK = 'SECCOMP_RET_USER_NOTIF';
export const REFUSE = 'SECCOMP_RET_ERRNO | EPERM';
export const MISSING = 'SECCOMP_RET_ERRNO | ENOSYS';
export const KILL = 'SECCOMP_RET_KILL_PROCESS';
export const ABI: Readonly<Record<Machine, string>> = { x64: 'AUDIT_ARCH_X86_64', arm64: 'AUDIT_ARCH_AARCH64' };

/** Places in `struct seccomp_data`. */
const NUMBER = 0;
const ARCHITECTURE = 4;
const ARGUMENTS = 16;
const X32_BIT = 0x40000000;
/** `file_setattr` of Linux 6.17, on every machine: what came later the list knows nothing of. */
const LAST_KNOWN = 469;

/**
 * The filter: whatever another ABI asks for kills (its calls have other numbers, threat B27); then call after call. One that is
 * newer than the list, and might be another way to a file, is missing as on an older kernel, which every program has to expect.
 *
 * @param counting  What is refused or judged by its path asks the supervisor; otherwise it is refused, or let through, here.
 */
export function filterOf(calls: readonly SystemCall[], machine: Machine, counting: boolean): readonly Instruction[] {
  return [
    load(ARCHITECTURE),
    compare('equal', ABI[machine], 1, 0),
    give(KILL),
    load(NUMBER),
    ...(machine === 'x64' ? [compare('at-least', X32_BIT, 0, 1), give(KILL)] : []),
    ...calls.flatMap((call) => {
      const body = call.clauses.flatMap((clause) => clauseOf(clause, call.path, counting));
      return [compare('equal', numberOf(call), 0, body.length), ...body];
    }),
    compare('at-least', LAST_KNOWN + 1, 0, 1),
    give(MISSING),
    give(ALLOW),
  ];
}

export const numberOf = ({ name, number }: SystemCall): number | string => number ?? `__NR_${name}`;

/** An unmet condition leads behind the clause. */
function clauseOf({ action, conditions }: Clause, path: PathArguments | null, counting: boolean): Instruction[] {
  const unasked = { allow: ALLOW, none: MISSING, block: REFUSE, path: path?.never === true ? MISSING : ALLOW }[action];
  const body = [give(counting && (action === 'block' || action === 'path') ? ASK : unasked)];
  for (const condition of conditions.toReversed()) body.unshift(...test(condition, body.length));
  return body;
}

function test({ index, mask, value }: Condition, skipped: number): Instruction[] {
  const low = load(ARGUMENTS + 8 * index);
  if (value === null) return [low, compare('any-bit', mask, 0, skipped)];
  const masked = mask === 0xffffffff ? [] : [{ code: 'and', k: mask, yes: 0, no: 0 } as const];
  return [low, ...masked, compare('equal', value, 0, skipped)];
}

const load = (k: number): Instruction => ({ code: 'load', k, yes: 0, no: 0 });
const give = (k: string): Instruction => ({ code: 'return', k, yes: 0, no: 0 });
const compare = (code: Instruction['code'], k: Instruction['k'], yes: number, no: number): Instruction => {
  if (yes > 255 || no > 255) throw new RangeError('a jump of BPF is at most 255 instructions long');
  return { code, k, yes, no };
};
