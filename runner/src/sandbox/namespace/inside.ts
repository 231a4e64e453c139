/** Where things stand inside the sandbox of the namespace backend. */
export const HOME = '/home/agent';
const RUN = '/run/keywarden';

/** The session's id is in these paths so that PID 1's command line names its session on the host (see `find.ts`). */
export const insideOf = (session: string) => ({
  helper: `${RUN}/${session}/keywarden-helper`,
  control: `${RUN}/${session}/control`,
  egress: `${RUN}/${session}/egress`,
});

/** What a mount may neither replace nor hold: the walls stand on these. */
const RESERVED = ['/proc', '/dev', '/run', '/etc', '/usr', '/bin', '/sbin', '/lib', '/lib64', '/sys'];

export function destinationIsReserved(path: string): boolean {
  if (!path.startsWith('/') || path === '/' || path.includes('\0') || /(^|\/)\.\.?(\/|$)/.test(path)) return true;
  return RESERVED.some((reserved) => path === reserved || path.startsWith(`${reserved}/`));
}
