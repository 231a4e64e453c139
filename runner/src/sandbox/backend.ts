/**
 * What a session asks of a backend, and what every backend promises. A backend knows nothing of edges, tokens or leases: it
 * gets one unix socket for the way out, starts the sandbox, and can say at any time what of it is left on the host.
 */

export type BackendName = 'namespace' | 'docker';

/** One wall of the isolation, as this host offers it to this user. */
export interface Layer {
  readonly name: string;
  readonly present: boolean;
  readonly detail: string;
  /** How to get it; null when it is present. */
  readonly mend: string | null;
  /** A run is refused without it. What is not required (counting, say) is told in the receipt. */
  readonly required: boolean;
}

/** The layer without which nothing bounds cores. */
export const CORE_LIMITS = 'core limits';

export interface Mount {
  /** Absolute, resolved, on the host. */
  readonly source: string;
  /** Absolute, in the sandbox. */
  readonly destination: string;
  readonly writable: boolean;
  /** `DEV:INO` of what was judged (stat(2)); PID 1 starts no agent when another thing is mounted. */
  readonly identity?: string;
}

export interface Limits {
  readonly memoryBytes: number;
  /** Cores; may be fractional. */
  readonly cpus: number;
  readonly pids: number;
  readonly openFiles: number;
  readonly fileBytes: number;
  /** Size of the tmpfs on /tmp and of that on the home, each. */
  readonly tmpBytes: number;
}

/** Where the agent's standard streams go. */
export type Streams =
  /** The runner's own descriptors 0, 1, 2 as they are, a terminal among them perhaps. */
  | { readonly kind: 'inherit' }
  /** Through the runner, which masks or records them. */
  | {
      readonly kind: 'piped';
      /** `own`: the runner's. */
      readonly stdin: NodeJS.ReadableStream | 'own' | null;
      readonly stdout: NodeJS.WritableStream;
      readonly stderr: NodeJS.WritableStream;
    };

export interface SandboxSpec {
  /** `ses_` and 26 characters of base32; every trace of the session on the host bears it. */
  readonly session: string;
  readonly argv: readonly string[];
  /** The whole environment of the agent, nothing is inherited. May hold secrets: never in argv, never on disk. */
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  readonly mounts: readonly Mount[];
  readonly limits: Limits;
  /** Unix ms; the deadline inside, which does not depend on the runner. */
  readonly deadlineAt: number;
  /** Between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  /** The folder (mode 0700) of the session on the host, made by the lease; everything the backend lays down is in it. */
  readonly folder: string;
  /** Unix socket on the host that leads to the edge; the only way out. */
  readonly egressSocket: string;
  /** TCP port on 127.0.0.1 *inside*, on which the edge is offered. */
  readonly egressPort: number;
  readonly streams: Streams;
  /** The agent's terminal is wanted: a pseudo terminal inside, when the runner's stdin and stdout are terminals. */
  readonly tty: boolean;
  /** namespace: a root folder instead of the host's /usr; docker: an image. Null: the backend's default. */
  readonly root: string | null;
  /** Decoys with canary text at the well-known credential paths. */
  readonly decoys: boolean;
}

/** What the session writes into its lease as soon as it is known, so that a sweeper can find and end exactly this. */
export type Trace =
  | { readonly kind: 'process'; readonly pid: number /** Field 22 of /proc/PID/stat. */; readonly startTime: string }
  | { readonly kind: 'container'; readonly id: string; readonly host: string }
  | { readonly kind: 'cgroup'; readonly path: string }
  | { readonly kind: 'mount'; readonly path: string };

export interface Exit {
  /** The agent's own code; 128 + signal when a signal ended it. */
  readonly code: number;
  readonly signal: string | null;
  /** The kernel killed it for memory. */
  readonly outOfMemory: boolean;
}

/** Counters of the helper; see docs/sandbox.md for what each does and does not prove. */
export interface Counters {
  /** Denied opens of credential paths, by `class` and `syscall`. Denied by the supervisor: the call never ran. */
  readonly denied: readonly { readonly pathClass: string; readonly syscall: string; readonly count: number }[];
  /** What was seen but is only a hint (stat, readlink): may be forged or missed. */
  readonly observed: readonly { readonly pathClass: string; readonly syscall: string; readonly count: number }[];
  /** System calls refused by number. */
  readonly blocked: readonly { readonly syscall: string; readonly count: number }[];
  /** What could not be judged. It was denied. */
  readonly dropped: number;
  /** Live sources, `seccomp-notify` among them; empty: nothing was counted. */
  readonly sources: readonly string[];
}

export interface Sandbox {
  readonly exited: Promise<Exit>;
  /** As it stands now; final after `exited`. */
  counters(): Counters;
  signal(name: NodeJS.Signals): Promise<void>;
  /** SIGKILL to everything in it; resolves when nothing of it lives. */
  kill(): Promise<void>;
  resize(columns: number, rows: number): Promise<void>;
}

/** Something of a session that is still on the host. */
export interface Leftover {
  readonly kind: 'process' | 'container' | 'network' | 'volume' | 'mount' | 'cgroup' | 'socket' | 'file';
  readonly name: string;
}

/** One thing that `start` would do, for `--dry-run`: secret values are replaced by `[NAME]`. */
export interface PlannedStep {
  readonly does: string;
  readonly argv?: readonly string[];
  readonly request?: unknown;
}

export interface StartEvents {
  /** Awaited before the next step: what is traced is in the lease before it can be orphaned. */
  readonly traced: (trace: Trace) => Promise<void>;
  /** Phases for `--timings`, in ms of `performance.now()`. */
  readonly phase?: (name: string) => void;
}

export interface Backend {
  readonly name: BackendName;
  /** Every layer, present or not. Starts nothing that outlives it. */
  layers(): Promise<readonly Layer[]>;
  plan(spec: SandboxSpec): Promise<readonly PlannedStep[]>;
  start(spec: SandboxSpec, events: StartEvents): Promise<Sandbox>;
  /** Everything of the session that is left, whoever started it. Reads only. */
  leftovers(session: string, traces: readonly Trace[], folder: string): Promise<readonly Leftover[]>;
  /** Ends and removes what is left of exactly this session; identity is checked (label; pid and start time). */
  sweep(session: string, traces: readonly Trace[], folder: string): Promise<void>;
}
