import { createReadStream, existsSync, readFileSync } from 'node:fs';
import * as z from 'zod/mini';
import { AuditVerifyResponse } from '../../../../src/protocol.ts';
import { type ExportReport, type Jwks, verifyExport } from '../../audit/verify-export.ts';
import { findEdge } from '../../client/edge-address.ts';
import { EdgeClient } from '../../client/edge-client.ts';
import { EXIT, Failure } from '../../failure.ts';
import { coloured, harmlessLine, note, print, printJson } from '../terminal.ts';

export interface VerifyOptions {
  readonly jwks?: string;
  readonly state?: string;
  readonly json?: boolean;
}

const JwksShape = z.object({ keys: z.array(z.record(z.string(), z.unknown())) });

/** @returns the exit code: 1 when anything is broken, be it found here or told by the edge. */
export async function verifyAudit(file: string | undefined, options: VerifyOptions): Promise<number> {
  if (file !== undefined) return verifyFile(file, options);
  const client = new EdgeClient(findEdge(options.state));
  const jwks =
    options.jwks === undefined ? await client.get('/.well-known/jwks.json', JwksShape) : await jwksAt(options.jwks);
  const body = await client.stream('/v1/audit/export');
  // What the edge says about itself comes second: the rows are judged here first.
  const here = await verifyExport(body, jwks);
  const edge = await client.get('/v1/audit/verify', AuditVerifyResponse);
  const ok = sound(here, true) && edge.ok;
  if (options.json)
    printJson({ ...here, ok, edge: { ok: edge.ok, rows: edge.rows, ledgers: edge.ledgers, problems: edge.problems } });
  else {
    report(here, `export of ${client.url}`);
    for (const problem of edge.problems) printProblem(problem, 'the edge says: ');
    print(
      `the edge ${edge.ok ? 'agrees' : 'finds its chain broken'}: ${edge.rows} rows in ${edge.ledgers} ledgers, against their live heads`,
    );
    verdict(ok);
  }
  return ok ? EXIT.ok : EXIT.negative;
}

async function verifyFile(file: string, options: VerifyOptions): Promise<number> {
  if (!existsSync(file)) throw new Failure(`there is no file ${file}`, 'make one: keywarden audit export --out FILE');
  const jwks = options.jwks === undefined ? null : await jwksAt(options.jwks);
  const result = await verifyExport(createReadStream(file), jwks);
  const ok = sound(result, jwks !== null);
  if (options.json) printJson({ ...result, ok });
  else {
    report(result, file);
    verdict(ok);
  }
  if (jwks === null) note("the checkpoint's signature was not checked: --jwks FILE|URL names the edge's keys");
  return ok ? EXIT.ok : EXIT.negative;
}

/** With keys at hand an unsigned or wrongly signed checkpoint is no proof; a cut tail would go unnoticed. */
function sound(result: ExportReport, keysKnown: boolean): boolean {
  return result.ok && (keysKnown ? result.checkpoint === 'verified' : result.checkpoint === 'unchecked');
}

const CHECKPOINT = {
  verified: 'checkpoint signed by the edge',
  unchecked: 'checkpoint there, its signature not checked',
  bad: 'checkpoint NOT signed by a key of the edge',
  missing: 'checkpoint MISSING: the end may have been cut off',
} as const;

function report(result: ExportReport, source: string): void {
  for (const problem of result.problems) printProblem(problem, '');
  print(`${harmlessLine(source)}: ${result.rows} rows in ${result.ledgers} ledgers; ${CHECKPOINT[result.checkpoint]}`);
}

function printProblem(
  { ledger, seq, problem }: { ledger: string; seq: number | null; problem: string },
  from: string,
): void {
  print(
    `${coloured('red', 'broken')}: ${from}ledger ${harmlessLine(ledger)}${seq === null ? '' : ` row ${seq}`}: ${harmlessLine(problem)}`,
  );
}

function verdict(ok: boolean): void {
  print(
    ok
      ? `${coloured('green', 'ok')}: nothing was altered, dropped or reordered`
      : `${coloured('red', 'not ok')}: the audit cannot be trusted as it is`,
  );
}

async function jwksAt(place: string): Promise<Jwks> {
  try {
    const text = /^https?:\/\//.test(place)
      ? await (await fetch(place, { redirect: 'error', signal: AbortSignal.timeout(10_000) })).text()
      : readFileSync(place, 'utf8');
    return JwksShape.parse(JSON.parse(text));
  } catch (error) {
    throw new Failure(
      `${place} holds no JWKS: ${(error as Error).message.split('\n')[0]}`,
      "the edge's is at /.well-known/jwks.json",
    );
  }
}
