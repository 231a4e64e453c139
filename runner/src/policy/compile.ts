import type { CompileOptions, PolicyBundle, PolicyProblem } from '../../../src/offline.ts';
import { counted } from '../counted.ts';
import { EXIT, Failure } from '../failure.ts';
import { shellWord } from '../shell-word.ts';
import { readPolicyFiles, shownName } from './policy-files.ts';

export type Compiled =
  | { readonly ok: true; readonly value: PolicyBundle }
  | { readonly ok: false; readonly error: readonly PolicyProblem[] };

/** Loads the compiler (YAML, CEL) only when a command needs it. */
export const offline = (): Promise<typeof import('../../../src/offline.ts')> => import('../../../src/offline.ts');

export async function tryCompileDirectory(directory: string, options: CompileOptions): Promise<Compiled> {
  const { compilePolicies } = await offline();
  const compiled = compilePolicies(readPolicyFiles(directory), options);
  if (compiled.ok) return compiled;
  return {
    ok: false,
    error: compiled.error.map((problem) => ({ ...problem, file: shownName(directory, problem.file) })),
  };
}

/** @throws Failure with every problem, as `file:line:col: message`. */
export async function compileDirectory(directory: string, options: CompileOptions): Promise<PolicyBundle> {
  const compiled = await tryCompileDirectory(directory, options);
  if (compiled.ok) return compiled.value;
  throw new Failure(
    `${counted(compiled.error.length, 'problem')} in the policies\n${compiled.error.map(problemLine).join('\n')}`,
    `to look again: keywarden policy check ${shellWord(directory)}${options.allowLoopbackHttp ? ' --dev' : ''}`,
    EXIT.failed,
  );
}

export function problemLine(problem: PolicyProblem): string {
  const fix = problem.fix ? `\n  fix: ${problem.fix}` : '';
  return `${problem.file}:${problem.line}:${problem.column}: ${problem.message}${fix}`;
}
