import { release } from 'node:os';
import type Docker from 'dockerode';
import { helperPath } from '../../helper/helper-path.ts';
import { kernelOffers } from '../../helper/kernel-offers.ts';
import type { Layer } from '../backend.ts';
import { mayCount } from './counting.ts';
import { wordsOf } from './engine.ts';
import { defaultImage, IMAGE_MEND, imageId } from './image.ts';

interface Info {
  readonly KernelVersion?: string;
  readonly SecurityOptions?: readonly string[] | null;
  /** Podman's way to say `name=rootless`. */
  readonly Rootless?: boolean;
  readonly MemoryLimit?: boolean;
  readonly SwapLimit?: boolean;
  readonly PidsLimit?: boolean;
  readonly CpuCfsQuota?: boolean;
  readonly CPUCfsQuota?: boolean;
}

/** Private cgroup namespaces and `wait` until the removal. */
const OLDEST_API = 1.41;

/** What the engine at this socket really does for this user. */
export async function dockerLayers(engine: Docker, socket: string): Promise<readonly Layer[]> {
  const host = await helperLayers();
  const version = await engine.version().catch((error: Error) => error);
  if (version instanceof Error) return [...host, unreachable(socket, version)];
  const info = (await engine.info()) as Info;
  return [
    ...host,
    layer(
      'engine',
      Number(version.ApiVersion) >= OLDEST_API,
      `${version.Version} (API ${version.ApiVersion}) at ${socket}`,
      `an engine with API ${OLDEST_API} (Docker 20.10) or newer`,
    ),
    layer(
      'engine on this machine',
      info.KernelVersion === release(),
      `its kernel is ${info.KernelVersion}, ours is ${release()}`,
      'sockets cannot be mounted into a virtual machine: run keywarden where the engine runs',
    ),
    ...security(info),
    ...limits(info),
    await imageLayer(engine),
    {
      ...layer(
        'counting',
        mayCount(),
        mayCount() ? 'the paths of denied opens can be read' : 'this user may not read the memory of a container',
        'run as root, or with kernel.yama.ptrace_scope=0',
      ),
      required: false,
    },
  ];
}

async function helperLayers(): Promise<Layer[]> {
  try {
    const path = await helperPath();
    const { landlock, userNotification } = await kernelOffers(path);
    return [
      layer('helper', true, path, ''),
      layer(
        'seccomp user notification',
        userNotification,
        userNotification ? 'answered by the kernel' : 'not there',
        'a kernel ≥ 5.5 with CONFIG_SECCOMP_FILTER',
      ),
      layer('Landlock', landlock > 0, `ABI ${landlock}`, 'a kernel ≥ 5.13, started with lsm=landlock,…'),
    ];
  } catch (error) {
    return [layer('helper', false, wordsOf(error), 'apt-get install gcc libc6-dev')];
  }
}

function unreachable(socket: string, error: Error): Layer {
  const { code } = error as NodeJS.ErrnoException;
  const mends: Readonly<Record<string, readonly [string, string]>> = {
    ENOENT: [`no ${socket}`, 'apt-get install docker.io, or DOCKER_HOST=unix://SOCKET'],
    EACCES: [
      `${socket} is not yours to use`,
      'join the group docker (which is as good as root), or use --backend namespace',
    ],
    ECONNREFUSED: [`nobody listens at ${socket}`, 'systemctl start docker'],
  };
  const [detail, mend] = mends[code ?? ''] ?? [`${socket}: ${wordsOf(error)}`, 'is the engine well? docker info'];
  return layer('engine', false, detail, mend);
}

/** Entries such as `name=seccomp,profile=default`, `name=rootless`, `name=userns`. */
function security({ SecurityOptions, Rootless }: Info): Layer[] {
  const names = (SecurityOptions ?? []).map((option) => /name=([^,]+)/.exec(option)?.[1] ?? option);
  if (Rootless === true && !names.includes('rootless')) names.push('rootless');
  const mapped = names.filter((name) => name === 'rootless' || name === 'userns');
  return [
    layer(
      'seccomp',
      names.includes('seccomp'),
      names.includes('seccomp')
        ? 'our own profile, before our own filter'
        : `the engine has ${names.join(', ') || 'none'}`,
      'an engine and a kernel with seccomp',
    ),
    layer(
      'uids',
      mapped.length === 0,
      mapped.length === 0
        ? "the container's are the host's"
        : `mapped (${mapped.join(', ')}): the sockets cannot be lent`,
      'use --backend namespace, which needs no root either',
    ),
  ];
}

function limits(info: Info): Layer[] {
  const controller = (name: string, there: boolean | undefined, group: string): Layer =>
    layer(
      name,
      there === true,
      there === true ? 'enforced by control groups' : 'the engine would leave it out',
      `a control group hierarchy with the controller ${group} (on cgroup v1: mount it, or cgroup_enable=${group})`,
    );
  return [
    controller('memory limit', info.MemoryLimit, 'memory'),
    controller('process limit', info.PidsLimit, 'pids'),
    controller('CPU limit', info.CpuCfsQuota ?? info.CPUCfsQuota, 'cpu'),
    { ...controller('swap limit', info.SwapLimit, 'memory'), required: false },
  ];
}

/** Not required: `--image` may name another, and a start without one is refused. */
async function imageLayer(engine: Docker): Promise<Layer> {
  const name = defaultImage();
  const id = await imageId(engine, name).catch(() => null);
  return { ...layer('image', id !== null, id === null ? `no ${name}` : name, IMAGE_MEND), required: false };
}

const layer = (name: string, present: boolean, detail: string, mend: string): Layer => ({
  name,
  present,
  detail,
  mend: present ? null : mend,
  required: true,
});
