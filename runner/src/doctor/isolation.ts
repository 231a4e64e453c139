import type { Backend, BackendName } from '../sandbox/backend.ts';
import { backendOf } from '../session/choose-backend.ts';
import { type Check, layer } from './check.ts';

const BACKENDS: readonly BackendName[] = ['namespace', 'docker'];

/** The layers of isolation that this host offers to each backend of the runner. Nothing here is needed for the edge. */
export async function isolationChecks(load: (name: BackendName) => Promise<Backend> = backendOf): Promise<Check[]> {
  const checks = await Promise.all(BACKENDS.map((name) => checksOf(name, load)));
  return checks.flat();
}

async function checksOf(name: BackendName, load: (name: BackendName) => Promise<Backend>): Promise<Check[]> {
  try {
    const layers = await (await load(name)).layers();
    return layers.map((one) =>
      layer(
        `${name}: ${one.name}${one.required ? '' : ' (not required)'}`,
        one.present,
        one.detail,
        one.mend ?? 'see docs/sandbox.md',
      ),
    );
  } catch (error) {
    return [layer(name, false, (error as Error).message, 'see docs/sandbox.md')];
  }
}
