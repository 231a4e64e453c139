import { mkdirSync } from 'node:fs';
import { helperPath } from '../../helper/helper-path.ts';
import type { Backend, PlannedStep } from '../backend.ts';
import { layDecoys } from '../decoys/lay-decoys.ts';
import { createOptions, placesIn } from './create.ts';
import { DEFAULT_IMAGE, engineAt, socketOf } from './engine.ts';
import { dockerLayers } from './layers.ts';
import { leftovers, sweep } from './leftovers.ts';
import { startDocker } from './start.ts';

/** Containers over the Engine API. The same walls, with the engine's namespaces and control groups in the place of bubblewrap's. */
export function dockerBackend(socket: string = socketOf()): Backend {
  const engine = engineAt(socket);
  return {
    name: 'docker',
    layers: () => dockerLayers(engine, socket),
    async plan(spec): Promise<readonly PlannedStep[]> {
      return [
        { does: 'hand the environment to PID 1 by a socket', request: Object.keys(spec.env).sort() },
        {
          does: 'create and start a container',
          request: createOptions(spec, spec.root ?? DEFAULT_IMAGE, await helperPath()),
        },
      ];
    },
    async start(spec, events) {
      mkdirSync(spec.folder, { recursive: true, mode: 0o700 });
      if (spec.decoys) layDecoys(placesIn(spec.folder).decoys);
      return startDocker(engine, socket, spec, spec.root ?? DEFAULT_IMAGE, await helperPath(), events);
    },
    leftovers: (session, traces, folder) => leftovers(engine, session, traces, folder),
    sweep: (session, traces, folder) => sweep(engine, session, traces, folder),
  };
}
