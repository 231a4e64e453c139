import { uuidV7 } from '../capability/mint.ts';
import type { Edge } from '../edge.ts';
import type { Env } from '../env.ts';
import { fieldsOf } from '../lib/fields.ts';
import type { Call } from '../pipeline/call.ts';
import { run } from '../pipeline/run.ts';
import { serviceOf } from '../policy/service.ts';
import { problemResponse } from '../problem/response.ts';
import { BASE_FIELD, publicOriginOf } from '../protocol.ts';
import { withDrain } from './drain.ts';

const PREFIX = '/proxy/';

/**
 * Splits a request URL by hand: a URL parser would resolve dot segments and turn backslashes before the policy sees them.
 *
 * @param url As the runtime gives it: origin and the raw request target.
 * @returns Null when it is no `/proxy/<service>` URL.
 */
export function splitProxyUrl(url: string): { origin: string; service: string; rawPath: string; query: string } | null {
  const afterScheme = url.indexOf('://') + 3;
  const start = url.indexOf('/', afterScheme);
  if (afterScheme < 3 || start < 0 || !url.startsWith(PREFIX, start)) return null;
  const mark = url.indexOf('?', start);
  const end = mark < 0 ? url.length : mark;
  const rest = url.slice(start + PREFIX.length, end);
  const slash = rest.indexOf('/');
  return {
    origin: url.slice(0, start),
    service: slash < 0 ? rest : rest.slice(0, slash),
    // An empty path is "/" (RFC 9110 §4.2.3); boto3 lists buckets so.
    rawPath: slash < 0 ? '/' : rest.slice(slash),
    query: mark < 0 ? '' : url.slice(mark + 1),
  };
}

/** `ANY /proxy/<service>/<path…>`: an agent's call. */
export async function proxy(
  request: Request,
  env: Env,
  ctx: ExecutionContext,
  edge: Edge,
  parts: NonNullable<ReturnType<typeof splitProxyUrl>>,
): Promise<Response> {
  const startedAt = Date.now();
  const policy = serviceOf(edge.bundle, parts.service);
  const fields = fieldsOf(request.headers);
  const call: Call = {
    request,
    fields,
    env,
    ctx,
    requestId: uuidV7(startedAt),
    startedAt,
    service: parts.service,
    policy,
    rawPath: parts.rawPath,
    query: parts.query,
    publicOrigin: publicOriginOf(fields.get(BASE_FIELD), parts.origin),
  };
  const running = run(call, edge);
  // A client that resets ends at once all that nobody waits for: the outcome of an intent, too.
  request.signal.addEventListener('abort', () => ctx.waitUntil(running.catch(() => undefined)), { once: true });
  const outcome = await running;
  if (outcome.kind === 'answered') return outcome.response;
  const refusal = problemResponse(outcome.reason, {
    requestId: call.requestId,
    shape: policy?.errors ?? 'problem',
    limits: outcome.limits,
    fields: outcome.fields,
    method: request.method,
  });
  return withDrain(request, refusal, ctx);
}
