import { Hono } from 'hono';
import { edgeOf } from './edge.ts';
import openapi from './openapi.generated.json' with { type: 'json' };
import { bundle } from './policy/bundle.ts';
import { REQUEST_ID_FIELD } from './problem/response.ts';
import type { Health } from './protocol.ts';
import { approvals } from './routes/approvals.ts';
import { audit } from './routes/audit.ts';
import { bugResponse } from './routes/bug.ts';
import { capabilities } from './routes/capabilities.ts';
import { consoleApi, consolePages } from './routes/console.ts';
import type { Api } from './routes/context.ts';
import { brokenResponse } from './routes/own-problem.ts';
import { policies } from './routes/policies.ts';
import { refuse } from './routes/refuse.ts';
import { sessions } from './routes/sessions.ts';
import { metrics, signals } from './routes/signals.ts';
import { stops } from './routes/stops.ts';
import { tokens } from './routes/tokens.ts';

/** Our own API. Agents' calls (`/proxy/…`) do not come this way: see `index.ts`. */
export const app = new Hono<Api>();

app.use('*', async (c, next) => {
  c.set('requestId', crypto.randomUUID());
  await next();
  c.header(REQUEST_ID_FIELD, c.get('requestId'));
  c.header('x-content-type-options', 'nosniff');
  if (!c.res.headers.has('cache-control')) c.header('cache-control', 'no-store');
  // RFC 9209: who spoke.
  if (!c.res.headers.has('proxy-status')) c.header('proxy-status', 'keywarden');
});

app.get('/healthz', async (c) => {
  const edge = await edgeOf(c.env);
  const same = {
    now: new Date().toISOString(),
    policy_hash: bundle.hash,
    services: Object.keys(bundle.services),
  };
  const health: Health = edge.ok
    ? {
        status: 'ok',
        ...same,
        notes:
          edge.value.dev && bundle.agents.source === 'absent'
            ? ['no agents.yaml: any agent may hold anything (keywarden dev only)']
            : [],
        problems: [],
      }
    : { status: 'broken', ...same, notes: [], problems: [...edge.error] };
  return c.json(health, edge.ok ? 200 : 503);
});

app.route('/console', consolePages);

app.get('/openapi.json', (c) => c.json({ ...openapi, servers: [{ url: new URL(c.req.url).origin }] }));

app.use('*', async (c, next) => {
  const edge = await edgeOf(c.env);
  if (!edge.ok) return brokenResponse(edge.error, c.get('requestId'), c.req.method);
  c.set('edge', edge.value);
  return next();
});

app.get('/.well-known/jwks.json', (c) => {
  c.header('cache-control', 'public, max-age=300');
  return c.json(c.get('edge').keys.jwks);
});
app.route('/v1/tokens', tokens);
app.route('/v1/capabilities', capabilities);
app.route('/v1/approvals', approvals);
app.route('/v1/audit', audit);
app.route('/v1/console', consoleApi);
app.route('/v1/policies', policies);
app.route('/v1/sessions', sessions);
app.route('/v1/signals', signals);
app.route('/v1/stops', stops);
app.route('/metrics', metrics);

app.notFound((c) => {
  const allowed = methodsAt(c.req.path);
  if (allowed.length > 0) {
    const answer = refuse(c, 405, 'method_not_allowed', `${c.req.path} takes ${allowed.join(' and ')}.`);
    answer.headers.set('allow', allowed.join(', '));
    return answer;
  }
  return refuse(
    c,
    404,
    'not_found',
    'There is nothing here. /openapi.json tells what there is; agents call /proxy/<service>/<path>.',
  );
});

/** The methods that a path of our own API takes (RFC 9110 §15.5.6); none where there is nothing. */
function methodsAt(path: string): readonly string[] {
  const methods = new Set<string>();
  for (const route of app.routes) {
    if (route.method === 'ALL' || !fits(route.path.split('/'), path.split('/'))) continue;
    methods.add(route.method);
    if (route.method === 'GET') methods.add('HEAD');
  }
  return [...methods];
}

function fits(pattern: readonly string[], path: readonly string[]): boolean {
  if (pattern.at(-1) === '*')
    return path.length >= pattern.length && fits(pattern.slice(0, -1), path.slice(0, pattern.length - 1));
  return (
    pattern.length === path.length && pattern.every((part, i) => part === path[i] || (part.startsWith(':') && path[i]))
  );
}

app.onError((error, c) => {
  if (!isOfDatabase(error)) return bugResponse(error, c.get('requestId') ?? crypto.randomUUID(), c.req.method);
  console.error(`keywarden: error: ${c.get('requestId')}: D1 failed: ${databaseWords(error)}`);
  return refuse(
    c,
    503,
    'database_unavailable',
    "The D1 database cannot be read or written, so nothing was done. Agents' calls are recorded all the same and wait in the ledgers.",
  );
});

/** Drizzle wraps what D1 threw, which names itself only when it had an answer: a D1 that is lost says `internal error`. */
const databaseWords = (error: unknown): string => {
  const { message = '', cause } = error as Partial<Error>;
  const why = cause instanceof Error ? cause.message : '';
  return message.startsWith('Failed query:') ? why : ([message, why].find((text) => text.startsWith('D1_')) ?? '');
};

const isOfDatabase = (error: unknown): boolean => databaseWords(error) !== '';
