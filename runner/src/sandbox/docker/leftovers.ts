import type Docker from 'dockerode';
import type { Leftover, Trace } from '../backend.ts';
import { findProcesses } from '../namespace/find.ts';
import { endProcesses } from '../namespace/leftovers.ts';
import { emptyFolder, filesIn } from '../session-folder.ts';
import { engineAt, SESSION_LABEL, SHORT_PATIENCE_MS, statusOf } from './engine.ts';
import { removeContainer } from './remove.ts';

/** Everything of the session: what bears its label at the engine, and its processes and files here. */
export async function leftovers(
  socket: string,
  session: string,
  traces: readonly Trace[],
  folder: string,
  patienceMs: number = SHORT_PATIENCE_MS,
): Promise<Leftover[]> {
  const atEngines = await Promise.all(enginesOf(socket, traces, patienceMs).map((engine) => labelled(engine, session)));
  return [
    ...atEngines.flatMap(({ containers, volumes, networks }) => [
      ...containers.map((name): Leftover => ({ kind: 'container', name })),
      ...volumes.map((name): Leftover => ({ kind: 'volume', name })),
      ...networks.map((name): Leftover => ({ kind: 'network', name })),
    ]),
    ...findProcesses(session, traces).map(({ pid, name }): Leftover => ({ kind: 'process', name: `${pid} ${name}` })),
    ...filesIn(folder),
  ];
}

/** By label and id: a container that was only created is found too, and a neighbour's never is (threats B64, B66). */
export async function sweep(
  socket: string,
  session: string,
  traces: readonly Trace[],
  folder: string,
  patienceMs: number = SHORT_PATIENCE_MS,
): Promise<void> {
  for (const engine of enginesOf(socket, traces, patienceMs)) {
    const { containers, volumes, networks } = await labelled(engine, session);
    await Promise.all(containers.map((id) => removeContainer(engine, id)));
    for (const name of volumes) await engine.getVolume(name).remove().catch(unlessGone);
    for (const id of networks) await engine.getNetwork(id).remove().catch(unlessGone);
  }
  await endProcesses(session, traces);
  emptyFolder(folder);
}

/** The engine of then, too: DOCKER_HOST may have changed since. */
const enginesOf = (socket: string, traces: readonly Trace[], patienceMs: number): Docker[] =>
  [...new Set([socket, ...traces.flatMap((trace) => (trace.kind === 'container' ? [trace.host] : []))])].map((at) =>
    engineAt(at, patienceMs),
  );

/** The engine filters; that each really bears the label is looked at once more, for what is listed is going to be ended. */
async function labelled(
  engine: Docker,
  session: string,
): Promise<{ containers: string[]; volumes: string[]; networks: string[] }> {
  const filters = { label: [`${SESSION_LABEL}=${session}`] };
  const [containers, volumes, networks] = await Promise.all([
    engine.listContainers({ all: true, filters }),
    engine.listVolumes({ filters }),
    engine.listNetworks({ filters }),
  ]);
  const ours = ({ Labels }: { Labels?: Record<string, string> | null | undefined }): boolean =>
    Labels?.[SESSION_LABEL] === session;
  return {
    containers: containers.filter(ours).map(({ Id }) => Id),
    volumes: (volumes.Volumes ?? []).filter(ours).map(({ Name }) => Name),
    networks: networks.filter(ours).map(({ Id }) => Id),
  };
}

function unlessGone(error: unknown): void {
  if (statusOf(error) !== 404) throw error;
}
