import { Failure } from '../failure.ts';
import { offline } from '../policy/compile.ts';

/** What the offline verifier found in an export. */
export interface ExportReport {
  readonly ok: boolean;
  readonly rows: number;
  readonly ledgers: number;
  /** `seq` is the row's number in its ledger; null when the problem is not of one row. */
  readonly problems: readonly { readonly ledger: string; readonly seq: number | null; readonly problem: string }[];
  /** The signed last line: checked, there but without keys to check it with, or a problem. */
  readonly checkpoint: 'verified' | 'unchecked' | 'bad' | 'missing';
}

/** Public keys of the edge as its JWKS has them. */
export interface Jwks {
  readonly keys: readonly Record<string, unknown>[];
}

type VerifyExport = (lines: AsyncIterable<string>, jwks: Jwks | null) => Promise<ExportReport>;

/** Checks an export on its own, line by line, whatever its size. Without `jwks` the checkpoint's signature is not checked. */
export async function verifyExport(bytes: AsyncIterable<Uint8Array>, jwks: Jwks | null): Promise<ExportReport> {
  const { verifyExport: verify } = (await offline()) as unknown as { verifyExport?: VerifyExport };
  if (verify === undefined) throw new Failure('this build has no offline verifier', 'update keywarden');
  return verify(linesOf(bytes), jwks);
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
