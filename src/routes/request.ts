import * as z from 'zod/mini';
import type { BodyRefusal } from '../denial.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { parseStrictJson } from '../policy/json-body.ts';
import type { ApiContext } from './context.ts';

const MAX_BODY_BYTES = 65_536;

/**
 * Reads the JSON body of a request of our own API, as strictly as an agent's: of two members with one name another reader might
 * believe the other.
 *
 * @param absent  What stands for no body; left out where there must be one.
 * @returns The request, or all that is wrong with it.
 */
export async function requestOf<T>(c: ApiContext, schema: z.ZodMiniType<T>, absent?: T): Promise<Result<T, string>> {
  const text = await textOf(c.req.raw);
  if (!text.ok) return text;
  if (text.value === '' && absent !== undefined) return ok(absent);
  const json = parseStrictJson(text.value);
  if (!json.ok) return err(`request: ${WORDS[json.error] ?? 'it is no JSON'}`);
  const parsed = schema.safeParse(json.value);
  return parsed.success ? ok(parsed.data) : err(issuesText(parsed.error));
}

/**
 * Reads the query of a request of our own API, as strictly: each parameter once.
 *
 * @returns The query, or all that is wrong with it.
 */
export function queryOf<T>(c: ApiContext, schema: z.ZodMiniType<T>): Result<T, string> {
  const given = new URL(c.req.url).searchParams;
  const twice = [...new Set(given.keys())].filter((name) => given.getAll(name).length > 1);
  const parsed = schema.safeParse(Object.fromEntries(given));
  if (parsed.success && twice.length === 0) return ok(parsed.data);
  const wrong = twice.map((name) => `${name}: it comes more than once`);
  return err([...wrong, ...(parsed.success ? [] : [issuesText(parsed.error)])].join('; '));
}

/** What takes no parameter: who narrows an answer by one must not take the whole for the part. */
export const NoQuery = z.strictObject({});

/** Reads no further than the bound: who asks may be nobody, and the isolate's memory is everybody's. */
async function textOf(request: Request): Promise<Result<string, string>> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  try {
    // Not cancelled at the bound: the rest is drained, so that the client gets to read the refusal.
    for await (const chunk of request.body?.values({ preventCancel: true }) ?? []) {
      bytes += chunk.byteLength;
      if (bytes > MAX_BODY_BYTES) return err('request: it is larger than 64 KiB');
      text += decoder.decode(chunk, { stream: true });
    }
  } catch {
    return err('request: it broke off');
  }
  return ok(text + decoder.decode());
}

const WORDS: Partial<Record<BodyRefusal, string>> = {
  duplicate_key: 'a member comes twice',
  too_deep: 'it is nested too deeply',
  number_not_finite: 'a number is too large',
};

/** All issues of a request at once: `ttl_seconds: it must be at most 86400; …`. */
const issuesText = (error: z.core.$ZodError): string =>
  error.issues.map((i) => `${i.path.length === 0 ? 'request' : i.path.join('.')}: ${i.message}`).join('; ');
