import { lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type Docker from 'dockerode';
import type { Leftover, Trace } from '../backend.ts';
import { findProcesses } from '../namespace/find.ts';
import { endProcesses } from '../namespace/leftovers.ts';
import { SESSION_LABEL } from './engine.ts';

/** Everything of the session: what bears its label at the engine, and its supervisor and files here. */
export async function leftovers(
  engine: Docker,
  session: string,
  traces: readonly Trace[],
  folder: string,
): Promise<Leftover[]> {
  const filters = { label: [`${SESSION_LABEL}=${session}`] };
  const [containers, volumes, networks] = await Promise.all([
    engine.listContainers({ all: true, filters }),
    engine.listVolumes({ filters }),
    engine.listNetworks({ filters }),
  ]);
  return [
    ...containers.map(({ Id }): Leftover => ({ kind: 'container', name: Id })),
    ...(volumes.Volumes ?? []).map(({ Name }): Leftover => ({ kind: 'volume', name: Name })),
    ...networks.map(({ Id }): Leftover => ({ kind: 'network', name: Id })),
    ...findProcesses(session, traces).map(({ pid, name }): Leftover => ({ kind: 'process', name: `${pid} ${name}` })),
    ...namesIn(folder).map((name): Leftover => {
      const path = join(folder, name);
      return { kind: lstatSync(path, { throwIfNoEntry: false })?.isSocket() ? 'socket' : 'file', name: path };
    }),
  ];
}

/** By label and id, never by name: a name may have been given to another meanwhile (threat B64). */
export async function sweep(engine: Docker, session: string, traces: readonly Trace[], folder: string): Promise<void> {
  const found = await engine.listContainers({ all: true, filters: { label: [`${SESSION_LABEL}=${session}`] } });
  for (const { Id } of found) await removeContainer(engine, Id);
  await endProcesses(session, traces);
  for (const name of namesIn(folder)) rmSync(join(folder, name), { recursive: true, force: true });
}

export async function removeContainer(engine: Docker, id: string): Promise<void> {
  try {
    await engine.getContainer(id).remove({ force: true, v: true });
  } catch (error) {
    // Gone, or somebody else is removing it.
    const status = (error as { statusCode?: number }).statusCode;
    if (status !== 404 && status !== 409) throw error;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
