import { z } from 'zod';
import { err, ok, type Result } from '../lib/result.ts';
import { kindOfFile, type PolicyFile, type UnreadFile, unreadProblem } from './compile.ts';
import { denialWords } from './decision-words.ts';
import { judgeAccess, requestLineOf, type SupposedRequest } from './judge.ts';
import { capabilityIndex } from './names.ts';
import type { PolicyBundle } from './ruled.ts';
import { problemsOf } from './schema-problems.ts';
import { serviceOf } from './service.ts';
import { closestOf } from './spelling.ts';
import { distinctProblems, type PolicyProblem, YamlSource } from './yaml-source.ts';

/** A file of `policies/tests/`: what a service's policy must answer. */
export const fixturesSchema = z
  .strictObject({
    service: z.string().describe('Id of the service.'),
    cases: z.array(
      z.strictObject({
        name: z.string().describe('The sentence that the case proves.'),
        can: z.array(z.string()).describe('Full names of the capabilities that the token carries.'),
        agent: z.string().optional().describe("Agent id; 'fixture' if absent."),
        session: z.string().optional().describe('Session id.'),
        now: z.iso
          .datetime({ offset: true })
          .optional()
          .describe('The time of the call; 2026-01-01T00:00:00Z if absent.'),
        request: z
          .string()
          .refine((text) => requestLineOf(text) !== null, { error: "no request line\nwrite 'GET /v1/balance'" })
          .describe("'METHOD /path?query', as it follows /proxy/<service>."),
        headers: z.record(z.string(), z.string()).optional().describe('Request header fields.'),
        content_type: z.string().optional().describe('Content-Type; application/json if the body is a mapping.'),
        body: z
          .union([z.string(), z.record(z.string(), z.unknown()), z.array(z.unknown())])
          .optional()
          .describe('Text as sent, or what to send as JSON.'),
        expect: z.enum(['allow', 'deny', 'approval']).describe('What must be decided.'),
        capability: z.string().optional().describe('The capability that must have decided.'),
        reason: z.string().optional().describe("The denial's kind: condition_unmet, operation_unknown, …"),
      }),
    ),
  })
  .describe('Cases for keywarden policy test.');

export type Fixture = z.output<typeof fixturesSchema>['cases'][number];

/** The outcome of one case. */
export interface FixtureResult {
  readonly file: string;
  readonly line: number;
  readonly name: string;
  readonly passed: boolean;
  /** What differs, in words; empty when it passed. */
  readonly message: string;
}

/** What became of all fixtures. */
export interface FixtureRun {
  readonly results: readonly FixtureResult[];
  /** What is wrong with the files themselves; their cases were not run. */
  readonly problems: readonly PolicyProblem[];
}

const DEFAULT_NOW = Date.UTC(2026, 0, 1);

/**
 * Runs the fixtures among `files` against the policies.
 *
 * @param files  Files of the policy folder; those in a `tests` folder are read, the rest passed over.
 */
export function runFixtures(bundle: PolicyBundle, files: readonly (PolicyFile | UnreadFile)[]): FixtureRun {
  const run = { results: [] as FixtureResult[], problems: [] as PolicyProblem[] };
  for (const file of files) {
    if (kindOfFile(file.name) !== 'fixtures') continue;
    const ended = 'text' in file ? fileRun(bundle, file) : err([unreadProblem(file)]);
    if (ended.ok) run.results.push(...ended.value);
    else run.problems.push(...ended.error);
  }
  return run;
}

/** Runs one file, or says everything that is wrong with it. */
function fileRun(bundle: PolicyBundle, file: PolicyFile): Result<FixtureResult[], PolicyProblem[]> {
  const source = new YamlSource(file.name, file.text);
  if (source.problems.length > 0)
    return err(distinctProblems([...source.problems, ...source.readings.flatMap(shapeProblems)]));
  const read = fixturesSchema.safeParse(source.value);
  if (!read.success) return err(problemsOf(read.error.issues, source, fixturesSchema));
  const { service, cases } = read.data;
  if (serviceOf(bundle, service) === null) {
    const fix = suggestion(service, Object.keys(bundle.services)) ?? 'name one that a policy has';
    return err([source.problemAt(['service'], `no policy has the service '${service}'`, fix)]);
  }
  return ok(
    cases.map((fixture, i) => {
      const message = difference(bundle, service, fixture) ?? '';
      const { line } = source.problemAt(['cases', i], '', '');
      return { file: file.name, line, name: fixture.name, passed: message === '', message };
    }),
  );
}

function shapeProblems(source: YamlSource): PolicyProblem[] {
  const read = fixturesSchema.safeParse(source.value);
  return read.success ? [] : problemsOf(read.error.issues, source, fixturesSchema);
}

function suggestion(word: string, known: readonly string[]): string | null {
  const near = closestOf(word, known);
  return near === null ? null : `did you mean '${near}'?`;
}

/** What differs from what is expected, in words; null when nothing does. */
function difference(bundle: PolicyBundle, service: string, fixture: Fixture): string | null {
  const names = [...capabilityIndex(bundle).keys()];
  const unknown = fixture.can.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    const near = suggestion(unknown, names);
    return `no policy has the capability '${unknown}'${near === null ? '' : `: ${near}`}`;
  }
  const { decision } = judgeAccess(bundle, supposedRequestOf(service, fixture));
  const verdict = !decision.ok ? 'deny' : decision.value.approval !== null ? 'approval' : 'allow';
  const reason = decision.ok ? null : decision.error.kind;
  const by = decision.ok
    ? decision.value.capability.name
    : 'capability' in decision.error
      ? decision.error.capability
      : null;
  const got = decision.ok
    ? `got ${verdict} by ${decision.value.capability.name}`
    : `got deny, ${decision.error.kind}: ${denialWords(decision.error)}`;
  if (verdict !== fixture.expect) return `expected ${fixture.expect}, ${got}`;
  if (fixture.reason !== undefined && reason !== fixture.reason) return `expected the reason ${fixture.reason}, ${got}`;
  if (fixture.capability !== undefined && by !== fixture.capability)
    return `expected the capability ${fixture.capability}, ${got}`;
  return null;
}

function supposedRequestOf(service: string, fixture: Fixture): SupposedRequest {
  const { method = '', target = '' } = requestLineOf(fixture.request) ?? {};
  const headers = new Map(Object.entries(fixture.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
  const json = fixture.body !== undefined && typeof fixture.body !== 'string';
  const type = fixture.content_type ?? (json ? 'application/json' : undefined);
  if (type !== undefined && !headers.has('content-type')) headers.set('content-type', type);
  return {
    service,
    method,
    target,
    can: fixture.can,
    agent: fixture.agent ?? 'fixture',
    session: fixture.session ?? null,
    headers,
    body:
      fixture.body === undefined
        ? null
        : typeof fixture.body === 'string'
          ? fixture.body
          : JSON.stringify(fixture.body),
    now: fixture.now === undefined ? DEFAULT_NOW : Date.parse(fixture.now),
  };
}
