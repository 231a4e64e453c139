import type { ExportVerification, verifyExport as verify } from '../../../src/offline.ts';
import { offline } from '../policy/compile.ts';
import { linesOf } from './read-lines.ts';

/** What the offline verifier found in an export. */
export type ExportReport = ExportVerification;

/** Public keys of the edge as its JWKS has them. */
export type Jwks = NonNullable<Parameters<typeof verify>[1]>;

/** Checks an export on its own, line by line, whatever its size. Without `jwks` the checkpoint's signature is not checked. */
export async function verifyExport(bytes: AsyncIterable<Uint8Array>, jwks: Jwks | null): Promise<ExportReport> {
  return (await offline()).verifyExport(linesOf(bytes), jwks);
}
