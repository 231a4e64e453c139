import type Docker from 'dockerode';
import { Failure } from '../../failure.ts';
import { helperPath } from '../../helper/helper-path.ts';
import type { Backend, PlannedStep, SandboxSpec } from '../backend.ts';
import { refuseReserved } from '../reserved.ts';
import { createOptions, type Layout } from './create.ts';
import { type EngineKind, engineAt, kindOf, SHORT_PATIENCE_MS, socketOf, wordsOf } from './engine.ts';
import { identityOf } from './identity.ts';
import { defaultImage, imageId } from './image.ts';
import { dockerLayers } from './layers.ts';
import { leftovers, sweep } from './leftovers.ts';
import { startDocker, superviseArgv } from './start.ts';

/**
 * Containers over the Engine API (Docker's, or podman's socket). The same walls, with the engine's namespaces and control
 * groups in the place of bubblewrap's.
 *
 * @param patienceMs  With an engine that takes questions and does not answer.
 */
export function dockerBackend(socket: string = socketOf(), patienceMs: number = SHORT_PATIENCE_MS): Backend {
  const engine = engineAt(socket);
  let kind: EngineKind | null = null;
  const layoutOf = async (spec: SandboxSpec): Promise<Layout> => {
    refuseReserved(spec.mounts);
    const agent = identityOf(spec.mounts);
    const name = spec.root ?? defaultImage();
    const [helper, image] = await Promise.all([helperPath(), imageId(engine, name)]);
    kind ??= await askKind(engine);
    const { rows, columns, isTTY } = process.stdout;
    return { image, helper, agent, engine: kind, terminal: isTTY ? [rows, columns] : null };
  };
  return {
    name: 'docker',
    layers: () => dockerLayers(engineAt(socket, patienceMs), socket),
    async plan(spec): Promise<readonly PlannedStep[]> {
      const layout = await layoutOf(spec);
      return [
        { does: `lay down /etc and ${spec.decoys ? 'decoys' : 'no decoys'} in ${spec.folder}` },
        { does: 'start the supervisor on the host', argv: [layout.helper, ...superviseArgv(spec)] },
        { does: 'hand the environment to it by a pipe, and so to PID 1', request: Object.keys(spec.env).sort() },
        { does: `POST /containers/create at ${socket}`, request: createOptions(spec, layout) },
        { does: 'attach to its streams, start it' },
      ];
    },
    start: async (spec, events) => startDocker(engine, socket, spec, await layoutOf(spec), events),
    leftovers: (session, traces, folder) => leftovers(socket, session, traces, folder, patienceMs),
    sweep: (session, traces, folder) => sweep(socket, session, traces, folder, patienceMs),
  };
}

const askKind = (engine: Docker): Promise<EngineKind> =>
  kindOf(engine).catch((error) => {
    throw new Failure(`the container engine cannot be reached: ${wordsOf(error)}`, 'keywarden doctor');
  });
