import { EXIT } from '../../failure.ts';
import { compileDirectory, offline, problemLine, tryCompileDirectory } from '../../policy/compile.ts';
import { readPolicyFiles, shownName } from '../../policy/policy-files.ts';
import { coloured, harmless, harmlessLine, print, printJson } from '../terminal.ts';

export interface CheckOptions {
  readonly dev?: boolean;
  readonly json?: boolean;
}

/** @returns the exit code. */
export async function checkPolicies(directory: string, options: CheckOptions): Promise<number> {
  const compiled = await tryCompileDirectory(directory, { allowLoopbackHttp: options.dev === true });
  if (options.json) {
    printJson(
      compiled.ok
        ? { ok: true, problems: [], services: Object.keys(compiled.value.services) }
        : { ok: false, problems: compiled.error, services: [] },
    );
    return compiled.ok ? EXIT.ok : EXIT.negative;
  }
  if (compiled.ok) {
    const services = Object.values(compiled.value.services);
    for (const service of services) {
      print(coloured('bold', harmlessLine(service.service)));
      for (const capability of service.capabilities)
        print(`  ${capability.name}  ${coloured('dim', harmlessLine(capability.title))}`);
    }
    print(
      `${coloured('green', 'ok')}: ${services.length} services, ${services.reduce((n, s) => n + s.capabilities.length, 0)} capabilities`,
    );
    return EXIT.ok;
  }
  for (const problem of compiled.error) print(harmless(problemLine(problem)));
  print(
    `${coloured('red', 'not ok')}: ${compiled.error.length} ${compiled.error.length === 1 ? 'problem' : 'problems'}`,
  );
  return EXIT.negative;
}

/** @returns the exit code: 1 too when there is no fixture at all, since then nothing was tested. */
export async function testPolicies(directory: string, options: CheckOptions): Promise<number> {
  const { runFixtures } = await offline();
  const files = readPolicyFiles(directory);
  const bundle = await compileDirectory(directory, { allowLoopbackHttp: options.dev === true });
  const results = runFixtures(bundle, files);
  const failures = results
    .filter((result) => !result.passed)
    .map((result) => ({ ...result, file: shownName(directory, result.file) }));
  const passed = results.length - failures.length;
  const code = failures.length === 0 && results.length > 0 ? EXIT.ok : EXIT.negative;
  if (options.json) {
    printJson({ ok: code === EXIT.ok, passed, failures });
    return code;
  }
  for (const { file, line, name, message } of failures) print(harmless(`${file}:${line}: ${name}\n  ${message}`));
  if (results.length === 0) print(`${coloured('red', 'not ok')}: no fixtures in ${shownName(directory, 'tests')}`);
  else
    print(
      `${code === EXIT.ok ? coloured('green', 'ok') : coloured('red', 'not ok')}: ${passed} of ${results.length} fixtures hold`,
    );
  return code;
}
