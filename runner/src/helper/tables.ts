import { type CredentialPath, classesOf } from './credential-list.ts';
import { filterOf, type Instruction, numberOf } from './filter.ts';
import type { Machine, SystemCall } from './system-calls.ts';

/** As `helper.h` has them; the compiler compares. */
export const MOST_CLASSES = 48;
export const MOST_RULES = 128;
/** What a call may be counted as, in the order of `enum count`. */
export const COUNTED = ['denied', 'observed', 'blocked', 'dropped'] as const;

/** What stands at which number in the helper's counters. */
export const countedNames = (calls: readonly SystemCall[], paths: readonly CredentialPath[]) => ({
  calls: asked(calls).map(({ name }) => name),
  classes: classesOf(paths),
});

const asked = (calls: readonly SystemCall[]): SystemCall[] =>
  calls.filter(({ clauses }) => clauses.some(({ action }) => action === 'path' || action === 'block'));

/** The helper's data as C: what it counts, what its filter is, where credentials lie. `helper.h` has the types. */
export function tablesOf(calls: readonly SystemCall[], paths: readonly CredentialPath[], machine: Machine): string {
  const classes = classesOf(paths);
  return [
    '/* Made by runner/src/helper/tables.ts from system-calls.txt and credential-paths.txt. */',
    '#include "helper.h"',
    '#include <linux/audit.h>',
    `const struct syscall_rule RULES[] = {\n${asked(calls).map(ruleOf).join('\n')}\n};`,
    'const size_t RULE_COUNT = sizeof RULES / sizeof *RULES;',
    `_Static_assert(MOST_RULES == ${MOST_RULES} && MOST_CLASSES == ${MOST_CLASSES}, "as the runner reads the counters");`,
    '_Static_assert(sizeof RULES / sizeof *RULES < MOST_RULES, "more rules than counters");',
    programOf('COUNTING', filterOf(calls, machine, true)),
    programOf('SILENT', filterOf(calls, machine, false)),
    `const char *const CLASSES[] = {${classes.map(text).join(', ')}};`,
    `const int CLASS_COUNT = ${classes.length};`,
    `_Static_assert(${classes.length} <= MOST_CLASSES, "more classes than counters");`,
    `const struct pattern PATTERNS[] = {\n${paths.map((path) => patternOf(path, classes)).join('\n')}\n};`,
    'const size_t PATTERN_COUNT = sizeof PATTERNS / sizeof *PATTERNS;',
    '',
  ].join('\n');
}

function ruleOf(call: SystemCall): string {
  const { folder, argument, looks, never } = call.path ?? { folder: null, argument: -1, looks: false, never: false };
  const refused = call.path === null ? ['{0, 0}'] : refusedBits(call);
  return `  {${numberOf(call)}, ${text(call.name)}, ${folder ?? -1}, ${argument}, ${looks}, ${never}, {${refused.join(', ')}}},`;
}

/** Argument and mask, two of them: the supervisor has to tell again what the filter asked it for. */
function refusedBits({ name, clauses }: SystemCall): string[] {
  const [block, another] = clauses.filter(({ action }) => action === 'block');
  if (block === undefined) return ['{0, 0}'];
  const [first, second = first, third] = block.conditions;
  const fits = another === undefined && third === undefined && first?.value === null && second?.value === null;
  if (!fits)
    throw new SyntaxError(
      `${name} is judged by its path: one \`block\` of one or two \`argN&MASK\` may stand before that`,
    );
  return [first, second].map(({ index, mask }) => `{${index}, ${mask}}`);
}

function programOf(name: string, program: readonly Instruction[]): string {
  const codes: Readonly<Record<Instruction['code'], string>> = {
    load: 'BPF_LD | BPF_W | BPF_ABS',
    and: 'BPF_ALU | BPF_AND | BPF_K',
    equal: 'BPF_JMP | BPF_JEQ | BPF_K',
    'at-least': 'BPF_JMP | BPF_JGE | BPF_K',
    'any-bit': 'BPF_JMP | BPF_JSET | BPF_K',
    return: 'BPF_RET | BPF_K',
  };
  const lines = program.map(({ code, k, yes, no }) => `  {${codes[code]}, ${yes}, ${no}, ${k}},`);
  return [
    `static struct sock_filter ${name}_CODE[] = {\n${lines.join('\n')}\n};`,
    `const struct sock_fprog ${name} = {sizeof ${name}_CODE / sizeof *${name}_CODE, ${name}_CODE};`,
  ].join('\n');
}

/** `prefix` is what stands before the first sign with a meaning: most comparisons end there. */
function patternOf(path: CredentialPath, classes: readonly string[]): string {
  const where = path.text.startsWith('/proc/')
    ? 'IN_PROC'
    : { '~/': 'BELOW_HOME', '/': 'ABSOLUTE', '**/': 'ANYWHERE' }[path.where];
  const prefix = Buffer.byteLength(/^[^*?[\\]*/.exec(path.text)?.[0] ?? '');
  const flags = [path.folder, path.folder && !path.glob, path.observed, path.except].join(', ');
  return `  {${classes.indexOf(path.pathClass)}, ${where}, ${flags}, ${prefix}, ${text(path.text)}},`;
}

/** Octal: after a hexadecimal escape C would take the next letter for a digit. */
function text(value: string): string {
  const signs = [...Buffer.from(value)].map((byte) => {
    const sign = String.fromCharCode(byte);
    return /[\x20\w./:@!*[\]~-]/.test(sign) ? sign : `\\${byte.toString(8).padStart(3, '0')}`;
  });
  return `"${signs.join('')}"`;
}
