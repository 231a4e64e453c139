import { usage } from '../failure.ts';

/** TCP port inside on which the edge is offered; the network namespace is the session's own, so nothing else can have it. */
export const EGRESS_PORT = 8787;
export const INSIDE_HOME = '/home/agent';

const KEPT = ['TERM', 'COLORTERM', 'LANG', 'LC_ALL', 'TZ', 'NO_COLOR'] as const;

/**
 * The agent's whole environment but its secrets and its token. Nothing is inherited but how the terminal looks and which
 * language is spoken.
 *
 * @param given  `K=V`, or `K` for the caller's own value.
 */
export function environmentOf(
  given: readonly string[],
  hasEdge: boolean,
  outer: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  const env: Record<string, string> = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: INSIDE_HOME,
    USER: 'agent',
    LOGNAME: 'agent',
    SHELL: '/bin/sh',
    TMPDIR: '/tmp',
    LANG: 'C.UTF-8',
    TERM: 'dumb',
  };
  for (const name of KEPT) {
    const value = outer[name];
    if (value !== undefined && /^[\x20-\x7e]{1,128}$/.test(value)) env[name] = value;
  }
  if (hasEdge) env['KEYWARDEN_URL'] = `http://127.0.0.1:${EGRESS_PORT}`;
  for (const text of given) {
    const equals = text.indexOf('=');
    const name = equals < 0 ? text : text.slice(0, equals);
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw usage(`--env ${name}: not the name of an environment variable`);
    if (/^KEYWARDEN_/.test(name)) throw usage(`--env ${name}: keywarden sets this one itself`);
    const value = equals < 0 ? outer[name] : text.slice(equals + 1);
    if (value === undefined) throw usage(`--env ${name}: it is not set here`, `--env ${name}=VALUE`);
    if (value.includes('\0')) throw usage(`--env ${name}: the value holds a NUL`);
    env[name] = value;
  }
  return env;
}
