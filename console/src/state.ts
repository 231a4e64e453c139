import { computed, signal } from '@preact/signals';
import type { ApprovalEvent, ApprovalJson, ApprovalListResponse, ConsoleSession, Health } from '../../src/protocol.ts';
import { get, onSignedOut } from './api.ts';

/** Undefined: not asked yet. */
export const me = signal<ConsoleSession | undefined>(undefined);
export const may = (...roles: string[]): boolean =>
  (me.value?.roles ?? []).some((role) => role === 'admin' || roles.includes(role));
onSignedOut(() => {
  if (me.value?.operator != null) me.value = { ...me.value, operator: null };
});

/** `#/approvals/ID?link=…` in its parts. */
export interface Place {
  readonly page: string;
  readonly id: string;
  readonly query: URLSearchParams;
}
const placeOf = (): Place => {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  const [page = '', ...rest] = path.split('/');
  let id = rest.join('/');
  try {
    id = decodeURIComponent(id);
  } catch {
    // As it is.
  }
  return { page: page || 'approvals', id, query: new URLSearchParams(query) };
};
export const place = signal<Place>(placeOf());
addEventListener('hashchange', () => (place.value = placeOf()));
export const go = (hash: string): void => {
  location.hash = hash;
};

/** Every second, for what counts down or up. */
export const clock = signal(Date.now());
/** Milliseconds by which the edge's clock is ahead of this machine's. */
let ahead = 0;
export const now = (): number => Date.now() + ahead;
setInterval(() => (clock.value = now()), 1000);

/** The edge decides what has expired. By a clock of this machine that is wrong, what waits would not be shown at all. */
export async function tuneClock(): Promise<void> {
  try {
    const asked = Date.now();
    const health = await get<Health>('/healthz');
    const between = Date.parse(health.now) - (asked + Date.now()) / 2;
    ahead = Math.abs(between) < 2_000 ? 0 : between;
    clock.value = now();
  } catch {
    // By this machine's clock, then.
  }
}

/** Said to people and to screen readers for some seconds. */
export const toast = signal<{ text: string; bad: boolean } | null>(null);
let toastTimer = 0;
export function say(text: string, bad = false): void {
  toast.value = { text, bad };
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (toast.value = null), bad ? 9000 : 5000) as unknown as number;
}
export const complain = (error: unknown): void => say(error instanceof Error ? error.message : String(error), true);

// --- Approvals, live ---

export const approvals = signal<ReadonlyMap<string, ApprovalJson>>(new Map());
export const live = signal<'off' | 'live' | 'polling'>('off');
/** Why what waits cannot be read, so that an empty list is not taken for nobody waiting. */
export const lost = signal<string | null>(null);
export const stateOf = (approval: ApprovalJson, now: number): ApprovalJson['state'] =>
  (approval.state === 'pending' || approval.state === 'approved') && Date.parse(approval.expires_at) <= now
    ? 'expired'
    : approval.state;
export const pending = computed(() =>
  [...approvals.value.values()]
    .filter((one) => stateOf(one, clock.value) === 'pending')
    .sort((a, b) => a.expires_at.localeCompare(b.expires_at)),
);

const POLL_MS = 4000;
const PING_MS = 25_000;
/** As the edge's desk says it. */
const SIGNED_OUT = 4001;
let socket: WebSocket | null = null;
let stopped = true;
let retry = 500;

export function merge(list: readonly ApprovalJson[]): void {
  const next = new Map(approvals.value);
  for (const one of list) next.set(one.id, one);
  approvals.value = next;
}

/** Pending ones by WebSocket; while there is none, by asking every few seconds. */
export function follow(): void {
  if (!stopped) return;
  stopped = false;
  connect();
  void poll();
}
export function unfollow(): void {
  stopped = true;
  socket?.close();
  live.value = 'off';
  lost.value = null;
  approvals.value = new Map();
}

function connect(): void {
  if (stopped) return;
  const one = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/v1/approvals/live`);
  socket = one;
  const ping = setInterval(() => one.readyState === WebSocket.OPEN && one.send('ping'), PING_MS);
  one.addEventListener('message', ({ data }) => {
    if (data === 'pong') return;
    const event = JSON.parse(String(data)) as ApprovalEvent;
    retry = 500;
    live.value = 'live';
    lost.value = null;
    if (event.type !== 'hello') return merge([event.approval]);
    if (event.approvals.length >= event.pending) return begin(event.approvals);
    // More than a greeting holds: all of them are read, since a flood of the newest must not hide who has waited longest.
    merge(event.approvals);
    allPending().then(begin, () => one.close());
  });
  one.addEventListener('close', ({ code }) => {
    clearInterval(ping);
    if (stopped) return;
    // The sign-in has ended, perhaps in another tab: the answer tells the page.
    if (code === SIGNED_OUT) void get('/v1/approvals', { limit: 1 }).catch(() => {});
    if (live.value === 'live') live.value = 'polling';
    retry = Math.min(retry * 2, 30_000);
    setTimeout(connect, retry);
  });
}

/** What was pending for us and is not among these any more was decided while nobody listened; what came since stays. */
function begin(list: readonly ApprovalJson[]): void {
  const there = new Set(list.map((approval) => approval.id));
  const newest = list[0]?.created_at ?? '';
  const next = new Map(
    [...approvals.value].filter(([id, old]) => old.state !== 'pending' || there.has(id) || old.created_at > newest),
  );
  for (const approval of list) {
    // Pages take a while: what the socket told meanwhile is newer.
    const told = next.get(approval.id);
    if (told !== undefined && (told.state !== 'pending' || told.votes.length > approval.votes.length)) continue;
    next.set(approval.id, approval);
  }
  approvals.value = next;
}

/** Everything that waits, in pages. */
async function allPending(): Promise<ApprovalJson[]> {
  const all: ApprovalJson[] = [];
  for (let cursor: string | null = null; ; ) {
    const page: ApprovalListResponse = await get('/v1/approvals', { state: 'pending', limit: 200, cursor });
    all.push(...page.approvals);
    cursor = page.next_cursor;
    if (cursor === null) return all;
  }
}

const isLive = (): boolean => live.value === 'live';

async function poll(): Promise<void> {
  while (!stopped) {
    if (!isLive() && me.value?.operator != null) {
      try {
        const [recent, waiting] = [
          await get<ApprovalListResponse>('/v1/approvals', { limit: 100 }),
          await allPending(),
        ];
        begin(waiting);
        merge(recent.approvals.filter((approval) => approval.state !== 'pending'));
        if (live.value === 'off') live.value = 'polling';
        lost.value = null;
      } catch (error) {
        // The next round may do better. Meanwhile the socket may have.
        if (!isLive()) {
          live.value = 'off';
          lost.value = error instanceof Error ? error.message : String(error);
        }
      }
    }
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}
