import { usage } from '../failure.ts';

/** TCP port inside on which the edge is offered; the network namespace is the session's own, so nothing else can have it. */
export const EGRESS_PORT = 8787;
export const INSIDE_HOME = '/home/agent';

/** What execve(2) takes in one string (MAX_ARG_STRLEN), its NUL with it. */
const MAX_VARIABLE_BYTES = 131_072;
/** The helper's room is 1 MiB; the rest is for the token. */
const MAX_ENVIRONMENT_BYTES = 1_000_000;

/** @throws Failure for what could not be handed to the agent; it names the variable, never its value. */
export function checkSizes(env: Readonly<Record<string, string>>): void {
  let all = 0;
  for (const [name, value] of Object.entries(env)) {
    const bytes = Buffer.byteLength(name) + Buffer.byteLength(value) + 2;
    if (bytes > MAX_VARIABLE_BYTES)
      throw usage(`the variable ${name} is longer than 128 KiB, which Linux hands to no program`, TOO_LARGE);
    all += bytes;
  }
  if (all > MAX_ENVIRONMENT_BYTES) throw usage('the environment is larger than 1 MB in all', TOO_LARGE);
}

const TOO_LARGE = 'put it into a file, and mount it: --mount FILE:/work/FILE';

/** What a name may be. */
export const NAME = 'letters, digits and _, and no digit first: as in LOG_LEVEL';

const KEPT = ['TERM', 'COLORTERM', 'LANG', 'LC_ALL', 'TZ', 'NO_COLOR'] as const;

/** What is no UTF-8 was made this sign when Node read it, or npx before us: what it was is not known any more. */
export const lostBytes = (text: string): boolean => text.includes('\ufffd');

/** The name in `K=V` or `K`. */
export const nameOf = (text: string): string => text.replace(/=.*/s, '');

/**
 * The agent's whole environment but its secrets and its token. Nothing is inherited but how the terminal looks and which
 * language is spoken.
 *
 * @param given  `K=V`, or `K` for the caller's own value. Of one name the last one holds, as with docker and env(1).
 */
export function environmentOf(
  given: readonly string[],
  hasEdge: boolean,
  outer: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  // Without a prototype, or else `--env __proto__=x` would be lost.
  const env: Record<string, string> = Object.assign(Object.create(null), {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: INSIDE_HOME,
    USER: 'agent',
    LOGNAME: 'agent',
    SHELL: '/bin/sh',
    TMPDIR: '/tmp',
    LANG: 'C.UTF-8',
    TERM: 'dumb',
  });
  for (const name of KEPT) {
    const value = outer[name];
    if (value !== undefined && /^[\x20-\x7e]{1,128}$/.test(value)) env[name] = value;
  }
  if (hasEdge) env['KEYWARDEN_URL'] = `http://127.0.0.1:${EGRESS_PORT}`;
  for (const text of given) {
    const equals = text.indexOf('=');
    const name = nameOf(text);
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      throw usage(`--env ${name}: not the name of an environment variable`, NAME);
    if (/^KEYWARDEN_/.test(name)) throw usage(`--env ${name}: keywarden sets this one itself`, 'choose another name');
    const value = equals < 0 ? outer[name] : text.slice(equals + 1);
    if (value === undefined) throw usage(`--env ${name}: it is not set here`, `--env ${name}=VALUE`);
    if (value.includes('\0')) throw usage(`--env ${name}: the value holds a NUL`, TOO_LARGE);
    if (lostBytes(value)) throw usage(`--env ${name}: the value is no UTF-8`, TOO_LARGE);
    env[name] = value;
  }
  return env;
}
