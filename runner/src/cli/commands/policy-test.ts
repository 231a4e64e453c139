import { counted } from '../../counted.ts';
import { EXIT } from '../../failure.ts';
import { compileDirectory, offline, problemLine } from '../../policy/compile.ts';
import { readPolicyFiles, shownName } from '../../policy/policy-files.ts';
import { coloured, harmless, print, printJson } from '../terminal.ts';
import type { CheckOptions } from './policy-check.ts';

/** @returns the exit code: 1 too when there is no fixture at all, since then nothing was tested. */
export async function testPolicies(directory: string, options: CheckOptions): Promise<number> {
  const { runFixtures } = await offline();
  const files = readPolicyFiles(directory);
  const bundle = await compileDirectory(directory, { allowLoopbackHttp: options.dev === true });
  const run = runFixtures(bundle, files);
  const results = run.results.map((result) => ({ ...result, file: shownName(directory, result.file) }));
  const problems = run.problems.map((problem) => ({ ...problem, file: shownName(directory, problem.file) }));
  const failures = results.filter((result) => !result.passed);
  const passed = results.length - failures.length;
  const code = failures.length + problems.length === 0 && results.length > 0 ? EXIT.ok : EXIT.negative;
  if (options.json) {
    printJson({ ok: code === EXIT.ok, passed, failures, problems });
    return code;
  }
  for (const problem of problems) print(harmless(problemLine(problem)));
  for (const { file, line, name, message } of failures) print(harmless(`${file}:${line}: ${name}\n  ${message}`));
  const verdict = code === EXIT.ok ? coloured('green', 'ok') : coloured('red', 'not ok');
  const counts = [
    ...(results.length > 0 || problems.length === 0
      ? [`${passed} of ${counted(results.length, 'fixture')} ${results.length === 1 ? 'holds' : 'hold'}`]
      : []),
    ...(problems.length > 0 ? [`${counted(problems.length, 'problem')} in their files`] : []),
  ];
  print(
    results.length + problems.length === 0
      ? `${verdict}: no fixtures in ${shownName(directory, 'tests')}`
      : `${verdict}: ${counts.join(', ')}`,
  );
  return code;
}
