import { Failure } from '../../failure.ts';
import { helperPath } from '../../helper/helper-path.ts';
import type { Backend, PlannedStep, SandboxSpec } from '../backend.ts';
import { decoyMounts } from '../decoys/lay-decoys.ts';
import { readable } from '../readable.ts';
import { refuseReserved } from '../reserved.ts';
import { type Layout, startArgv } from './argv.ts';
import { Cgroups } from './cgroup.ts';
import { findProgram } from './find-program.ts';
import { identityOf } from './identity.ts';
import { HOME } from './inside.ts';
import { layDown, placesIn } from './lay-down.ts';
import { namespaceLayers } from './layers.ts';
import { leftovers, sweep } from './leftovers.ts';
import { startNamespace } from './start.ts';
import { etcEntries, procCovers, systemEntries } from './system.ts';

/** Linux namespaces by bubblewrap, with Landlock, seccomp and the counting helper. Works for unprivileged users. */
export function namespaceBackend(): Backend {
  return {
    name: 'namespace',
    layers: namespaceLayers,
    async plan(spec): Promise<readonly PlannedStep[]> {
      const layout = await layoutOf(spec);
      const groups = new Cgroups(spec.session);
      return [
        ...(groups.paths.length === 0 ? [] : [{ does: 'make control groups', request: groups.settings(spec.limits) }]),
        { does: `lay down /etc and ${spec.decoys ? 'decoys' : 'no decoys'} in ${spec.folder}` },
        { does: 'hand the environment to PID 1 by a descriptor', request: Object.keys(spec.env).sort() },
        { does: 'start the sandbox', argv: startArgv(layout, groups.doors) },
      ];
    },
    async start(spec, events) {
      const layout = await layoutOf(spec);
      const lay = (): void => readable(() => layDown(spec.folder, layout.identity, layout.etc, spec.decoys));
      return startNamespace(spec, layout, lay, events);
    },
    leftovers: async (session, traces, folder) => leftovers(session, traces, folder),
    sweep,
  };
}

async function layoutOf(spec: SandboxSpec): Promise<Layout> {
  refuseReserved(spec.mounts);
  const bwrap = findProgram('bwrap');
  if (bwrap === null) throw new Failure('bwrap is not on PATH', 'apt-get install bubblewrap');
  return {
    session: spec.session,
    folder: spec.folder,
    bwrap,
    helper: await helperPath(),
    home: spec.env['HOME'] ?? HOME,
    identity: identityOf(spec),
    system: systemEntries(spec.root),
    etc: etcEntries(spec.root),
    proc: procCovers(),
    decoys: spec.decoys ? decoyMounts(placesIn(spec.folder).decoys) : null,
    mounts: spec.mounts,
    limits: spec.limits,
    egressSocket: spec.egressSocket,
    egressPort: spec.egressPort,
    deadlineAt: spec.deadlineAt,
    graceMs: spec.graceMs,
    workdir: spec.workdir,
    pty: spec.tty,
    command: spec.argv,
  };
}
