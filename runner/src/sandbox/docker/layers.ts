import type Docker from 'dockerode';
import { helperPath } from '../../helper/helper-path.ts';
import type { Layer } from '../backend.ts';
import { DEFAULT_IMAGE, mayCount } from './engine.ts';

/** What the engine at this socket offers this user. */
export async function dockerLayers(engine: Docker, socket: string): Promise<readonly Layer[]> {
  const helper = await helperPath().then(
    () => null,
    (error: Error) => error.message,
  );
  const built = layer('helper', helper === null, helper ?? 'built', 'apt-get install gcc libc6-dev');
  const version = await engine.version().catch((error: Error) => error);
  if (version instanceof Error) {
    return [
      built,
      layer(
        'engine',
        false,
        `${socket}: ${version.message}`,
        'apt-get install docker.io, and be root or in the group docker',
      ),
    ];
  }
  const info = await engine.info();
  const limits = [info.MemoryLimit, info.PidsLimit, info.CpuCfsQuota];
  const image = await engine
    .getImage(DEFAULT_IMAGE)
    .inspect()
    .then(
      () => true,
      () => false,
    );
  return [
    built,
    layer('engine', true, `${version.Version} at ${socket}`, ''),
    layer(
      'seccomp',
      (info.SecurityOptions as string[] | undefined)?.some((option) => option.includes('seccomp')) ?? false,
      'a filter of the engine beside ours',
      'a kernel and an engine with seccomp',
    ),
    layer('limits', limits.every(Boolean), 'memory, processes, CPU', 'control groups for memory, pids and cpu'),
    { ...layer('image', image, DEFAULT_IMAGE, 'node scripts/sandbox-image.ts, or --image'), required: false },
    {
      ...layer('counting', mayCount(), 'reads the paths of denied opens', "run as root on the engine's host"),
      required: false,
    },
  ];
}

function layer(name: string, present: boolean, detail: string, mend: string): Layer {
  return { name, present, detail, mend: present ? null : mend, required: true };
}
