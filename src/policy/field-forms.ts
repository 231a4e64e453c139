import type { DocumentPath } from './yaml-source.ts';

/** How fields are written, for the fixes of problems. */

const OPERATION_FORM = "write 'METHOD /path', or { match: METHOD /path, when: … }, or a list of these";
const CAPABILITY_FORM = "write its fields below it, at least 'allow: METHOD /path'";

/** How a field that may have several forms, or fields of its own, is written. */
export function formOf(path: DocumentPath): string | null {
  if (path.length === 2 && path[0] === 'capabilities') return CAPABILITY_FORM;
  return FORMS[String(path.findLast((part) => typeof part === 'string') ?? '')] ?? null;
}

const FORMS: Readonly<Record<string, string>> = {
  '': "write lines of 'field: value'",
  allow: OPERATION_FORM,
  deny: OPERATION_FORM,
  when: 'write a condition in CEL, in quotes',
  limit: "write '60/min', or { rate: 60/min, burst: 10 }",
  approval: "write 'required', or { when: …, ttl: 15m }",
  capabilities: "write the names of capabilities below it, each with its 'allow'",
  credential: 'write { scheme: bearer, secret: NAME }',
  max_body: "write bytes, or a size such as '1MiB'",
};

/** What to add where a field is missing. */
export const MISSING_FIXES: Readonly<Record<string, string>> = {
  allow: "a capability must say what it allows: add 'allow: GET /v1/…'",
  service: "add 'service: <id>', the segment in /proxy/<id>/",
  origin: "add 'origin: https://api.example.com'",
  credential: "add 'credential: { scheme: bearer, secret: NAME }'",
  scheme: "add 'scheme:' bearer, header, basic, query or sigv4",
  secret: "add 'secret: NAME', the name of a Worker secret",
};
