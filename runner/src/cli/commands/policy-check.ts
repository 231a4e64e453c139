import { counted } from '../../counted.ts';
import { EXIT } from '../../failure.ts';
import { problemLine, tryCompileDirectory } from '../../policy/compile.ts';
import { coloured, harmless, harmlessLine, note, print, printJson } from '../terminal.ts';

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
    const capabilities = services.flatMap((service) => service.capabilities);
    print(
      `${coloured('green', 'ok')}: ${counted(services.length, 'service')}, ${counted(capabilities.length, 'capability')}`,
    );
    if (services.length === 0) note(`no policy in ${directory}: nothing can be called`);
    return EXIT.ok;
  }
  for (const problem of compiled.error) print(harmless(problemLine(problem)));
  print(`${coloured('red', 'not ok')}: ${counted(compiled.error.length, 'problem')}`);
  return EXIT.negative;
}
