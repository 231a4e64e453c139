import { join } from 'node:path';
import type Docker from 'dockerode';
import type { Limits, Mount, SandboxSpec } from '../backend.ts';
import { decoyMounts } from '../decoys/lay-decoys.ts';
import { initSettings, judgedMounts } from '../namespace/init-settings.ts';
import { type EngineKind, SESSION_LABEL } from './engine.ts';
import type { Identity } from './identity.ts';
import { ETC_FILES, HOME, HOSTNAME, insideOf, placesIn } from './places.ts';
import { seccompProfile } from './seccomp.ts';

/** All that decides the request beside the session's own wishes. */
export interface Layout {
  readonly image: string;
  readonly helper: string;
  readonly agent: Identity;
  readonly engine: EngineKind;
  /** Rows and columns of the agent's terminal; null: none is known. */
  readonly terminal: readonly [number, number] | null;
}

/**
 * What the engine is asked to make. Pure. The environment is not in it: `docker inspect` would show it (threat B3); it comes
 * over the control socket.
 */
export function createOptions(spec: SandboxSpec, layout: Layout): Docker.ContainerCreateOptions {
  return {
    Image: layout.image,
    Entrypoint: [insideOf(spec.session).helper],
    Cmd: initArguments(spec),
    User: `${layout.agent.uid}:${layout.agent.gid}`,
    // Not the agent's: the engine would resolve it before the walls stand (CVE-2024-21626).
    WorkingDir: '/',
    Hostname: HOSTNAME,
    Labels: { [SESSION_LABEL]: spec.session, 'keywarden.deadline': new Date(spec.deadlineAt).toISOString() },
    Tty: spec.tty,
    OpenStdin: hasInput(spec),
    StdinOnce: hasInput(spec),
    AttachStdin: hasInput(spec),
    AttachStdout: true,
    AttachStderr: true,
    NetworkDisabled: true,
    // A HEALTHCHECK of the image would be a process that nobody asked for.
    Healthcheck: { Test: ['NONE'] },
    HostConfig: hostConfig(spec, layout),
  };
}

export const hasInput = ({ streams }: SandboxSpec): boolean => streams.kind === 'inherit' || streams.stdin !== null;

function initArguments(spec: SandboxSpec): string[] {
  const inside = insideOf(spec.session);
  const told = [inside.control, inside.egress, spec.workdir, initSettings(spec, null, null)];
  return ['init', ...told, ...judgedMounts(spec.mounts), '--', ...spec.argv];
}

function hostConfig(spec: SandboxSpec, layout: Layout): Docker.HostConfig {
  const { limits } = spec;
  return {
    NetworkMode: 'none',
    IpcMode: 'private',
    // API 1.41; not in dockerode's types.
    ...({ CgroupnsMode: 'private' } as object),
    ReadonlyRootfs: true,
    Tmpfs: tmpfsOf(spec, layout),
    ShmSize: limits.tmpBytes,
    Mounts: mountsOf(spec, layout),
    CapDrop: ['ALL'],
    Privileged: false,
    SecurityOpt: ['no-new-privileges', `seccomp=${seccompOf(spec, layout)}`],
    MaskedPaths: MASKED,
    ReadonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    ...cgroupLimits(limits),
    Ulimits: ulimits(limits, layout.engine),
    LogConfig: { Type: 'none', Config: {} },
    // Our own PID 1 reaps and ends.
    Init: false,
    // Removed by the engine itself: whoever dies, nothing outlives the deadline inside. Podman forgets the exit too early.
    AutoRemove: layout.engine === 'docker',
    RestartPolicy: { Name: 'no' },
    // API 1.42; older engines give a terminal of size 0 until it is resized. As [rows, columns].
    ...(spec.tty && layout.terminal !== null ? { ConsoleSize: [...layout.terminal] } : {}),
    ...(layout.engine === 'podman' ? { Runtime: 'runc' } : {}),
  };
}

/** Docker is given the profile, podman a file of this machine (4.3, tried). */
const seccompOf = ({ folder }: SandboxSpec, { engine }: Layout): string =>
  engine === 'podman' ? placesIn(folder).seccomp : seccompProfile();

/** Two more processes for PID 1 and its thread. No swap beside the memory: it would be a second limit's worth. */
const cgroupLimits = (limits: Limits): Docker.HostConfig => ({
  PidsLimit: limits.pids + 2,
  Memory: limits.memoryBytes,
  MemorySwap: limits.memoryBytes,
  NanoCpus: Math.round(limits.cpus * 1e9),
});

/** Far above any `--pids`, which is what bounds; below what hosts allow: podman's own default may be more than that (4.3, tried). */
const MOST_PROCESSES = 16_384;

/** Of PID 1, which forwards and needs descriptors of its own; the agent's are set by it. Podman has no bearable defaults. */
function ulimits(limits: Limits, engine: EngineKind): Docker.HostConfig['Ulimits'] {
  const files = Math.max(limits.openFiles, 1024);
  return [
    { Name: 'core', Soft: 0, Hard: 0 },
    { Name: 'nofile', Soft: files, Hard: files },
    { Name: 'fsize', Soft: limits.fileBytes, Hard: limits.fileBytes },
    ...(engine === 'podman' ? [{ Name: 'nproc', Soft: MOST_PROCESSES, Hard: MOST_PROCESSES }] : []),
  ];
}

/** Those of moby's newest default (oci/defaults.go), which older engines do not know yet. */
const MASKED = [
  ...['/proc/acpi', '/proc/asound', '/proc/interrupts', '/proc/kcore', '/proc/keys', '/proc/latency_stats'],
  ...['/proc/sched_debug', '/proc/scsi', '/proc/timer_list', '/proc/timer_stats', '/sys/firmware'],
  '/sys/devices/virtual/powercap',
];

function tmpfsOf({ limits, decoys, mounts }: SandboxSpec, { agent, engine }: Layout): Record<string, string> {
  const sized = `rw,nosuid,nodev,size=${limits.tmpBytes}`;
  // Podman knows no owners of a tmpfs (4.3, tried): then whoever is in the sandbox may write there, and that is the agent alone.
  const owned = engine === 'podman' ? 'mode=1777' : `mode=0700,uid=${agent.uid},gid=${agent.gid}`;
  const home = `${sized},exec,${owned}`;
  // A mount point cannot be renamed (threat B17).
  const pinned = decoys ? decoyMounts('').pinned : [];
  const all: [string, string][] = [
    ['/tmp', `${sized},noexec,mode=1777`],
    [HOME, home],
    ...pinned.map((path): [string, string] => [join(HOME, path), home]),
  ];
  return Object.fromEntries(all.filter(([at]) => !isCovered(at, mounts)));
}

/** A mount of the caller's stands there, or above: an engine would make our place in the caller's own folder. */
const isCovered = (at: string, mounts: readonly Mount[]): boolean =>
  mounts.some(({ destination }) => at === destination || at.startsWith(`${destination}/`));

function mountsOf(spec: SandboxSpec, { helper }: Layout): Docker.MountSettings[] {
  const inside = insideOf(spec.session);
  const places = placesIn(spec.folder);
  const decoys = spec.decoys ? decoyMounts(places.decoys).readOnly : [];
  return [
    bind(helper, inside.helper),
    // Sockets on a read-only mount can be connected to, but not chmodded or removed.
    bind(places.control, inside.control),
    bind(spec.egressSocket, inside.egress),
    ...ETC_FILES.map((name) => bind(join(places.etc, name), `/etc/${name}`)),
    ...decoys
      .filter(({ path }) => !isCovered(join(HOME, path), spec.mounts))
      .map(({ source, path }) => bind(source, join(HOME, path))),
    ...spec.mounts.map(({ source, destination, writable }) => bind(source, destination, !writable)),
  ];
}

/**
 * As `Mounts`, since `Binds` makes a folder of root's where the source is missing. What is mounted below a read-only source is
 * left out: it would stay writable (mount(8): read-only is not recursive).
 */
const bind = (source: string, target: string, readOnly = true): Docker.MountSettings => ({
  Type: 'bind',
  Source: source,
  Target: target,
  ReadOnly: readOnly,
  BindOptions: { Propagation: 'rprivate', ...(readOnly ? { NonRecursive: true } : {}) } as never,
});
