import type { ExportVerification, verifyExport as verify } from '../../../src/offline.ts';
import { Failure } from '../failure.ts';
import { offline } from '../policy/compile.ts';

/** What the offline verifier found in an export. */
export type ExportReport = ExportVerification;

/** Public keys of the edge as its JWKS has them. */
export type Jwks = NonNullable<Parameters<typeof verify>[1]>;

/** Checks an export on its own, line by line, whatever its size. Without `jwks` the checkpoint's signature is not checked. */
export async function verifyExport(bytes: AsyncIterable<Uint8Array>, jwks: Jwks | null): Promise<ExportReport> {
  return (await offline()).verifyExport(linesOf(bytes), jwks);
}

/** Lines longer than this are no audit rows: refused before they fill the memory. */
const MAX_LINE = 1_000_000;

async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  for await (const chunk of bytes) {
    rest += decoded(() => decoder.decode(chunk, { stream: true }));
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE) throw new Failure('this is no audit export: a line has no end');
    for (const line of lines) if (line !== '') yield line;
  }
  rest += decoded(() => decoder.decode());
  if (rest !== '') yield rest;
}

function decoded(decode: () => string): string {
  try {
    return decode();
  } catch {
    throw new Failure('this is no audit export: it is not UTF-8');
  }
}
