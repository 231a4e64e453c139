import { err, ok, type Result } from '../lib/result.ts';
import { canonicalPathOf, decodedSegmentOf } from './canonical-path.ts';
import type { OperationRule, TemplateSegment } from './ruled.ts';

/** Methods that the edge forwards. TRACE would echo the credential, CONNECT is no request to a path (RFC 9110 §9.3). */
export const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Methods that the edge forwards without a body only: a call that brings one is refused. */
export const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/** What is wrong with an operation as written, and what to write instead. */
export interface TemplateProblem {
  readonly message: string;
  readonly fix: string;
}

const no = (message: string, fix: string): Result<never, TemplateProblem> => err({ message, fix });

/**
 * Reads `METHOD /path/{template}` into rules, one for each method of `GET|HEAD`.
 *
 * @param text  As written in the policy.
 * @param when  The entry's own condition, or null.
 */
export function operationsOf(text: string, when: string | null): Result<OperationRule[], TemplateProblem> {
  const match = /^(\S+) (\S+)$/.exec(text);
  if (match === null) {
    return no(`'${text}' is no operation`, "write one method, one space and a path: 'GET /v1/customers/{id}'");
  }
  const [, methods = '', path = ''] = match;
  if (/[\u2018-\u201f]/.test(text)) return no('typographic quotes are no quotes here', 'write straight ones: "…"');
  const url = /^https?:\/\/[^/]*(.*)$/.exec(path);
  if (url !== null)
    return no('an operation is a path, and no whole address', `leave the origin out: '${methods} ${url[1] || '/'}'`);
  if (path.endsWith(','))
    return no(`'${text}' ends with a comma`, 'remove it (several rules are a list: [GET /a, GET /b]), or write %2C');
  const template = templateOf(path);
  if (!template.ok) return template;

  const rules: OperationRule[] = [];
  for (const method of methods.split('|')) {
    if (method !== '*' && !METHODS.has(method)) return badMethod(method);
    if (method === '*' && methods !== '*')
      return no(`'${methods}' mixes '*' with methods`, "'*' alone is every method");
    if (rules.some((rule) => rule.method === method))
      return no(`'${methods}' names ${method} twice`, `write ${method} once`);
    rules.push({ method, ...template.value, text, when });
  }
  return ok(rules);
}

function badMethod(method: string): Result<never, TemplateProblem> {
  const upper = method.toUpperCase();
  if (METHODS.has(upper)) return no(`methods are upper case`, `write '${upper}'`);
  if (upper === 'TRACE' || upper === 'CONNECT') {
    return no(
      `${upper} is never forwarded: ${upper === 'TRACE' ? 'it would echo the credential' : 'it opens a tunnel'}`,
      'remove it',
    );
  }
  return no(
    `'${method}' is no method that is forwarded`,
    `use one of ${[...METHODS].join(', ')}, alternatives as 'GET|HEAD', or '*'`,
  );
}

/** Reads the path part: literals, `{id}`, `{repo}.git`, and a last `{path+}`. */
function templateOf(path: string): Result<{ segments: TemplateSegment[]; trailingSlash: boolean }, TemplateProblem> {
  if (!path.startsWith('/')) return no(`the path '${path}' does not begin with '/'`, `write '/${path}'`);
  if (/[?#]/.test(path)) {
    return no(`'${path}' has a query`, 'leave it out and test it in \'when\', for example query.expand == "data"');
  }
  const raw = path.slice(1).split('/');
  const trailingSlash = raw.length > 1 && raw.at(-1) === '';
  if (trailingSlash || path === '/') raw.pop();

  const segments: TemplateSegment[] = [];
  const names = new Set<string>();
  for (const [i, text] of raw.entries()) {
    const segment = segmentOf(text, i === raw.length - 1);
    if (!segment.ok) return segment;
    const one = segment.value;
    if (one.kind !== 'literal') {
      if (names.has(one.name)) return no(`the name {${one.name}} stands twice in '${path}'`, 'give each its own name');
      names.add(one.name);
    }
    segments.push(one);
  }
  return ok({ segments, trailingSlash });
}

function segmentOf(text: string, last: boolean): Result<TemplateSegment, TemplateProblem> {
  if (text === '') return no('an empty segment (//) never matches: such paths are refused', 'remove the doubled slash');
  if (text === '*' || text === '**' || /^:[a-z]/i.test(text)) {
    return no(
      `'${text}' is no wildcard here`,
      text === '**' ? "write '{path+}' for the rest of the path" : "write '{id}' for one segment",
    );
  }
  if (!/[{}]/.test(text)) {
    const literal = literalOf(text);
    return literal === null ? badLiteral(text) : ok({ kind: 'literal', text: literal });
  }
  const match = /^([^{}]*)\{([A-Za-z_][A-Za-z0-9_]*)(\+?)\}([^{}]*)$/.exec(text);
  if (match === null) {
    return no(
      `'${text}' is no template segment`,
      "use one {name} a segment, the name of letters, digits and '_', as in '{id}' or '{repo}.git'",
    );
  }
  const [, before = '', name = '', plus = '', after = ''] = match;
  if (plus === '+') {
    if (before !== '' || after !== '')
      return no(`{${name}+} has text around it in '${text}'`, `give '{${name}+}' the whole segment`);
    if (!last) return no(`{${name}+} is not the last segment`, 'many segments can only stand last');
    return ok({ kind: 'rest', name });
  }
  const prefix = before === '' ? '' : literalOf(before, false);
  const suffix = after === '' ? '' : literalOf(after, false);
  if (prefix === null) return badLiteral(before);
  if (suffix === null) return badLiteral(after);
  return ok({ kind: 'param', name, prefix, suffix });
}

/** A literal's decoded text; null when no canonical path can contain it. */
function literalOf(text: string, whole = true): string | null {
  // A part of a segment may be a dot; `x` keeps it from being judged as a dot segment.
  const canonical = canonicalPathOf(whole ? `/${text}` : `/${text}x`);
  if (!canonical.ok) return null;
  return decodedSegmentOf(whole ? canonical.value.slice(1) : canonical.value.slice(1, -1));
}

function badLiteral(text: string): Result<never, TemplateProblem> {
  return no(
    `'${text}' can stand in no canonical path`,
    'write it as it stands on the request line, percent-encoded (RFC 3986 §2)',
  );
}
