/** RFC 9110 §7.6.1: fields of one connection only. `Expect` and `Upgrade` would change the protocol's turns on the way. */
const OF_THE_CONNECTION = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
]);

/**
 * Name and value in turns, as Node has raw fields: order, case and repetitions stay. What `Connection` names goes with it,
 * but for what the edge authenticates and frames by (threat A12).
 */
export function passingFields(raw: readonly string[], request: boolean): string[] {
  const named = new Set<string>();
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]?.toLowerCase() !== 'connection') continue;
    for (const name of (raw[i + 1] ?? '').split(',')) named.add(name.trim().toLowerCase());
  }
  for (const kept of ['content-length', 'content-type', 'authorization', 'host']) named.delete(kept);
  const passing: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] ?? '';
    const lower = name.toLowerCase();
    if (OF_THE_CONNECTION.has(lower) || named.has(lower) || (request && lower === 'host')) continue;
    passing.push(name, raw[i + 1] ?? '');
  }
  return passing;
}
