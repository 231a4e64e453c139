import { execFile } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { helperPath } from '../helper/helper-path.ts';

/** The state of a connection whose other side will send nothing more. */
const CLOSE_WAIT = '08';
/** ESTABLISHED, and that. */
const OPEN: ReadonlySet<string> = new Set(['01', CLOSE_WAIT]);
/** A look costs milliseconds, as the kernel goes through all places where a connection could be. */
const EVERY_MS = { connected: 400, idle: 1_000 };

/**
 * Hangs up on clients that have gone. workerd learns of a FIN only when it writes, for a client may end its sending side alone
 * and still read (RFC 9112 §9.6): so a call that was given up before the upstream answered would go on there. On this host the
 * kernel tells the two apart: the socket at the client's end has nobody left who could read.
 *
 * Linux alone, and not where the kernel keeps processes of one user apart (`kernel.yama.ptrace_scope`): there it stays as it is.
 *
 * @param pidOf  workerd's, which changes.
 * @returns what ends the watch, and resolves when nothing of it runs any more: the helper may just be made.
 */
export function watchGoneClients(host: string, port: number, pidOf: () => number | null): () => Promise<void> {
  const ending = new AbortController();
  const tables = isIPv4(host) ? ['tcp'] : ['tcp', 'tcp6'];
  const ended = process.platform === 'linux' ? watch(tables, port, pidOf, ending.signal) : Promise.resolve();
  return () => {
    ending.abort();
    return ended;
  };
}

async function watch(tables: string[], port: number, pidOf: () => number | null, ended: AbortSignal): Promise<void> {
  const failed = new Set<string>();
  let wait = EVERY_MS.idle;
  while (await delay(wait, true, { signal: ended, ref: false }).catch(() => false)) {
    const texts = await Promise.all(tables.map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')));
    const seen = texts.map((text) => connectionsAt(text, port));
    wait = seen.some(({ open }) => open > 0) ? EVERY_MS.connected : EVERY_MS.idle;
    for (const inode of seen.flatMap(({ abandoned }) => abandoned)) {
      const pid = pidOf();
      if (pid === null || (await hangUp(pid, inode).catch(() => false))) continue;
      // One that is still there the next time cannot be reached, and so none can.
      if (failed.has(inode)) return;
      failed.add(inode);
    }
  }
}

/**
 * The connections at `port`: how many are open, and the inodes of those whose client has ended them and is not there any more. Pure.
 *
 * @param table  As in /proc/net/tcp (proc_net_tcp(5)): two ends, a state, and the inode of the socket, 0 when nobody has it.
 */
export function connectionsAt(table: string, port: number): { readonly open: number; readonly abandoned: string[] } {
  const ours = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = table.split('\n').flatMap((line) => {
    // Most are others'.
    if (!line.includes(ours)) return [];
    const [, local = '', remote = '', state = '', , , , , , inode = ''] = line.trim().split(/\s+/);
    return [{ local, remote, state, inode }];
  });
  const open = rows.filter(({ local, state }) => local.endsWith(ours) && OPEN.has(state));
  const orphans = new Set(rows.filter(({ inode }) => inode === '0').map(({ local, remote }) => `${local} ${remote}`));
  const abandoned = open.filter(
    ({ local, remote, state }) => state === CLOSE_WAIT && orphans.has(`${remote} ${local}`),
  );
  return { open: open.length, abandoned: abandoned.map(({ inode }) => inode) };
}

/** @returns false when the kernel does not let us, or the connection has just ended. */
async function hangUp(pid: number, inode: string): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  for (const fd of await readdir(folder)) {
    if ((await readlink(`${folder}/${fd}`).catch(() => '')) !== `socket:[${inode}]`) continue;
    await promisify(execFile)(await helperPath(), ['hangup', String(pid), fd, inode]);
    return true;
  }
  return false;
}
