import { Failure, usage } from '../failure.ts';
import type { Backend, BackendName, Layer } from '../sandbox/backend.ts';

/** Loaded when asked for: a run on one backend does not pay for the other's libraries. */
export async function backendOf(name: BackendName): Promise<Backend> {
  if (name === 'namespace') return (await import('../sandbox/namespace/backend.ts')).namespaceBackend();
  return (await import('../sandbox/docker/backend.ts')).dockerBackend();
}

export interface Chosen {
  readonly backend: Backend;
  readonly layers: readonly Layer[];
}

interface Wanted {
  readonly backend: BackendName | 'auto';
  readonly image: string | null;
  readonly root: string | null;
}

/** Who names an image means docker, and who names a root folder namespace. @throws Failure when the two contradict each other. */
export function wantedBackend({ backend, image, root }: Wanted): BackendName | 'auto' {
  if (image !== null && root !== null)
    throw usage('--image is for docker and --root for namespace', 'give one of them');
  if (image !== null && backend === 'namespace')
    throw usage('--image is for the docker backend', '--root DIR is for this one');
  if (root !== null && backend === 'docker')
    throw usage('--root is for the namespace backend', '--image NAME is for this one');
  if (image !== null) return 'docker';
  return root === null ? backend : 'namespace';
}

/**
 * `auto` takes the first backend of which this host can do everything, else the first that lacks nothing required; a named one
 * is taken or refused. There is no half way.
 *
 * @throws Failure naming every missing layer and how to get it.
 */
export async function chooseBackend(
  wanted: BackendName | 'auto',
  load: (name: BackendName) => Promise<Backend> = backendOf,
): Promise<Chosen> {
  const names: readonly BackendName[] = wanted === 'auto' ? ['namespace', 'docker'] : [wanted];
  const missing: { readonly name: BackendName; readonly layers: readonly Layer[] }[] = [];
  let enough: Chosen | null = null;
  for (const name of names) {
    const backend = await load(name);
    const layers = await backend.layers();
    if (layers.every((layer) => layer.present)) return { backend, layers };
    const lacking = layers.filter((layer) => layer.required && !layer.present);
    if (lacking.length === 0) enough ??= { backend, layers };
    else missing.push({ name, layers: lacking });
  }
  if (enough !== null) return enough;
  throw new Failure(
    missing
      .map(({ name, layers }) => `the ${name} backend lacks ${layers.map((l) => `${l.name} (${l.detail})`).join(', ')}`)
      .join('\n'),
    missing.flatMap(({ name, layers }) => layers.flatMap((l) => (l.mend === null ? [] : [`${name}: ${l.mend}`]))),
  );
}
