/** Where things stand inside the sandbox of the namespace backend. */
export const HOME = '/home/agent';
const RUN = '/run/keywarden';

/** The session's id is in these paths so that PID 1's command line names its session on the host (see `find.ts`). */
export const insideOf = (session: string) => ({
  helper: `${RUN}/${session}/keywarden-helper`,
  control: `${RUN}/${session}/control`,
  egress: `${RUN}/${session}/egress`,
});
