import { join } from 'node:path';
import type Docker from 'dockerode';
import type { SandboxSpec } from '../backend.ts';
import { decoyMounts } from '../decoys/lay-decoys.ts';
import { insideOf, SESSION_LABEL } from './engine.ts';

/** The agent in the container. */
export const UID = 1000;
const HOME = '/home/agent';
export const HOSTNAME = 'keywarden';

export const placesIn = (folder: string) => ({ control: join(folder, 'control'), decoys: join(folder, 'decoys') });

/**
 * What the engine is asked to make. Pure. The environment is not in it: `docker inspect` would show it (threat B3); it comes
 * over the control socket.
 */
export function createOptions(spec: SandboxSpec, image: string, helper: string): Docker.ContainerCreateOptions {
  const inside = insideOf(spec.session);
  const places = placesIn(spec.folder);
  const { limits } = spec;
  const tmpfs = `rw,nosuid,nodev,size=${limits.tmpBytes}`;
  const bind = (source: string, target: string, readOnly = true): Docker.MountSettings => ({
    Type: 'bind',
    Source: source,
    Target: target,
    ReadOnly: readOnly,
  });
  const home = `${tmpfs},mode=0700,uid=${UID},gid=${UID}`;
  const decoys = spec.decoys ? decoyMounts(places.decoys) : null;
  return {
    Image: image,
    Entrypoint: [inside.helper],
    Cmd: [
      ...['init', '--control', inside.control],
      ...['--deadline', String(spec.deadlineAt), '--grace', String(spec.graceMs)],
      ...['--egress-socket', inside.egress, '--egress-port', String(spec.egressPort)],
      ...['--rlimit', 'core=0', '--cwd', spec.workdir, '--', ...spec.argv],
    ],
    User: `${UID}:${UID}`,
    WorkingDir: '/',
    Hostname: HOSTNAME,
    Labels: { [SESSION_LABEL]: spec.session, 'keywarden.deadline': new Date(spec.deadlineAt).toISOString() },
    Tty: spec.tty,
    OpenStdin: spec.streams.kind === 'inherit' || spec.streams.stdin !== null,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      NetworkMode: 'none',
      ReadonlyRootfs: true,
      Tmpfs: {
        '/tmp': `${tmpfs},mode=1777`,
        [HOME]: home,
        // A mount point cannot be renamed (threat B17).
        ...Object.fromEntries((decoys?.pinned ?? []).map((path) => [join(HOME, path), home])),
      },
      CapDrop: ['ALL'],
      // The engine's own filter stays beside ours: what it refuses by number is refused, and not counted.
      SecurityOpt: ['no-new-privileges'],
      PidsLimit: limits.pids + 2,
      Memory: limits.memoryBytes,
      MemorySwap: limits.memoryBytes,
      NanoCpus: Math.round(limits.cpus * 1e9),
      Ulimits: [
        { Name: 'core', Soft: 0, Hard: 0 },
        { Name: 'nofile', Soft: limits.openFiles, Hard: limits.openFiles },
        { Name: 'fsize', Soft: limits.fileBytes, Hard: limits.fileBytes },
      ],
      IpcMode: 'private',
      LogConfig: { Type: 'none', Config: {} },
      // Our own PID 1 reaps and ends.
      Init: false,
      RestartPolicy: { Name: 'no' },
      Mounts: [
        bind(helper, inside.helper),
        bind(places.control, inside.control),
        bind(spec.egressSocket, inside.egress),
        ...(decoys?.readOnly ?? []).map(({ source, path }) => bind(source, join(HOME, path))),
        ...spec.mounts.map(({ source, destination, writable }) => bind(source, destination, !writable)),
      ],
    },
  };
}
