const DEFAULT_WAIT_SECONDS = 25;
const MAX_WAIT_SECONDS = 120;

/** `Prefer: wait=N` (RFC 7240 §4.3). */
export function waitOf(prefer: string | null): {
  readonly ms: number;
  readonly fields: Readonly<Record<string, string>>;
} {
  const said = /(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:[;,]|$)/i.exec(prefer ?? '')?.[1];
  if (said === undefined) return { ms: DEFAULT_WAIT_SECONDS * 1000, fields: {} };
  const seconds = Math.min(Number(said), MAX_WAIT_SECONDS);
  return { ms: seconds * 1000, fields: { 'preference-applied': `wait=${seconds}` } };
}
