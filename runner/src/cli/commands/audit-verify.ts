import { AuditVerifyResponse } from '../../../../src/protocol.ts';
import { JwksShape, jwksAt } from '../../audit/jwks.ts';
import { openExport } from '../../audit/open-export.ts';
import { type ExportReport, verifyExport } from '../../audit/verify-export.ts';
import { findEdge } from '../../client/edge-address.ts';
import { EdgeClient } from '../../client/edge-client.ts';
import { counted } from '../../counted.ts';
import { EXIT } from '../../failure.ts';
import { coloured, harmlessLine, print, printJson } from '../terminal.ts';

export interface VerifyOptions {
  readonly jwks?: string;
  readonly state?: string;
  readonly json?: boolean;
}

/** The edge answers only when it has read every row there is. */
const VERIFY_MS = 600_000;

/** @returns the exit code: 1 when anything is broken, be it found here or told by the edge. */
export async function verifyAudit(file: string | undefined, options: VerifyOptions): Promise<number> {
  return file === undefined ? verifyEdge(options) : verifyFile(file, options);
}

async function verifyEdge(options: VerifyOptions): Promise<number> {
  const client = new EdgeClient(findEdge(options.state));
  const jwks =
    options.jwks === undefined ? await client.get('/.well-known/jwks.json', JwksShape) : await jwksAt(options.jwks);
  // What the edge says about itself comes second: the rows are judged here first.
  const here = await verifyExport(await client.stream('/v1/audit/export'), jwks);
  const edge = await client.get('/v1/audit/verify', AuditVerifyResponse, {}, VERIFY_MS);
  const ok = here.ok && edge.ok;
  if (options.json)
    printJson({ ...here, ok, edge: { ok: edge.ok, rows: edge.rows, ledgers: edge.ledgers, problems: edge.problems } });
  else {
    report(here, `export of ${client.url}`);
    for (const { problem } of edge.problems) printProblem('the edge says', problem);
    print(`the edge ${edge.ok ? 'agrees' : 'finds its chain broken'}: ${extentOf(edge)}, against their live heads`);
    print(ok ? SOUND : BROKEN);
  }
  return ok ? EXIT.ok : EXIT.negative;
}

async function verifyFile(file: string, options: VerifyOptions): Promise<number> {
  const jwks = options.jwks === undefined ? null : await jwksAt(options.jwks);
  const result = await verifyExport(await openExport(file), jwks);
  if (options.json) printJson(result);
  else {
    report(result, file);
    print(!result.ok ? BROKEN : jwks === null ? UNPROVEN : SOUND);
  }
  return result.ok ? EXIT.ok : EXIT.negative;
}

const SOUND = `${coloured('green', 'ok')}: nothing was altered, dropped, added or reordered`;
const BROKEN = `${coloured('red', 'not ok')}: the audit cannot be trusted as it is`;
const UNPROVEN = `${coloured('yellow', 'ok, but unproven')}: it fits together, but anybody could have made it so; --jwks FILE|URL checks who signed it`;

function report(result: ExportReport, source: string): void {
  for (const { line, problem } of result.problems)
    printProblem(line === null ? source : `${source}, line ${line}`, problem);
  print(`${harmlessLine(source)}: ${extentOf(result)}; ${harmlessLine(checkpointOf(result))}`);
}

const extentOf = ({ rows, ledgers }: { rows: number; ledgers: number }): string =>
  `${counted(rows, 'row')} in ${counted(ledgers, 'ledger')}`;

function checkpointOf({ checkpoint, issuer, issued_at: at }: ExportReport): string {
  switch (checkpoint) {
    case 'verified':
      return `checkpoint of ${at ?? 'an unknown time'} signed by ${issuer ?? 'the edge'}`;
    case 'unchecked':
      return `checkpoint of ${at ?? 'an unknown time'}, its signature NOT CHECKED`;
    case 'bad':
      return 'checkpoint NOT VALID';
    case 'missing':
      return 'checkpoint MISSING';
  }
}

function printProblem(where: string, problem: string): void {
  print(`${coloured('red', 'broken')}: ${harmlessLine(where)}: ${harmlessLine(problem)}`);
}
