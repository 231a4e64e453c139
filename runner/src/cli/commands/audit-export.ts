import { closeSync, existsSync, fsyncSync, linkSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { findEdge } from '../../client/edge-address.ts';
import { EdgeClient } from '../../client/edge-client.ts';
import { counted } from '../../counted.ts';
import { Failure } from '../../failure.ts';
import { codeOf } from '../../state/private-file.ts';
import { cannotWrite } from '../cannot-write.ts';
import { harmlessJson, note } from '../terminal.ts';

const LINE_FEED = 0x0a;

export interface ExportOptions {
  readonly out?: string;
  readonly state?: string;
}

/** Copies the export as it streams, so that its size does not matter. */
export async function exportAudit(options: ExportOptions): Promise<void> {
  const client = new EdgeClient(findEdge(options.state));
  const bytes = sealed(await client.stream('/v1/audit/export'), client.url);
  if (options.out !== undefined) {
    const rows = await writeNew(options.out, bytes);
    return note(`wrote ${counted(rows, 'row')} and the checkpoint to ${options.out}`);
  }
  for await (const chunk of process.stdout.isTTY ? shownOf(bytes) : bytes) {
    if (!process.stdout.write(chunk)) await new Promise((resolve) => process.stdout.once('drain', resolve));
  }
}

const CHECKPOINT = Buffer.from('{"type":"checkpoint"');

/** The same bytes; what ends without a checkpoint is no export, or not all of one, however orderly it ended. */
async function* sealed(bytes: AsyncIterable<Uint8Array>, url: string): AsyncGenerator<Uint8Array> {
  // Of the last line its beginning suffices.
  let line = Buffer.alloc(0);
  let ended = true;
  for await (const chunk of bytes) {
    yield chunk;
    const before = chunk.lastIndexOf(LINE_FEED, -2);
    const rest = Buffer.from(chunk.subarray(before + 1));
    line = (ended || before >= 0 ? rest : Buffer.concat([line, rest])).subarray(0, CHECKPOINT.length);
    ended = chunk.at(-1) === LINE_FEED;
  }
  if (line.equals(CHECKPOINT)) return;
  throw new Failure(
    `what ${url} sent is no export: no checkpoint stands at its end`,
    'try again; is it the edge that answers there?',
  );
}

/** A terminal gets the same JSON with what could trick it escaped; a file gets every byte as the edge wrote it. */
async function* shownOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const chunk of bytes) yield harmlessJson(decoder.decode(chunk, { stream: true }));
}

/** Under another name until it is whole: half an export, of a command that was killed, is not to be taken for one. */
async function writeNew(file: string, body: AsyncIterable<Uint8Array>): Promise<number> {
  const part = `${file}.part-${process.pid}`;
  let fd: number;
  try {
    if (existsSync(file)) throw Object.assign(new Error(), { code: 'EEXIST' });
    fd = openSync(part, 'wx', 0o600);
  } catch (error) {
    throw cannotWrite(file, error);
  }
  let lines = 0;
  try {
    for await (const chunk of body) {
      for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
      for (const byte of chunk) if (byte === LINE_FEED) lines += 1;
    }
    fsyncSync(fd);
    giveName(part, file);
  } catch (error) {
    throw new Failure(
      `the export broke off: ${(error as Error).message}`,
      `${file} was not left half written: try again`,
    );
  } finally {
    rmSync(part, { force: true });
    closeSync(fd);
  }
  return Math.max(0, lines - 1);
}

/** Whole from its first moment. A rename would take the place of a file that has come meanwhile: only where there are no links. */
function giveName(part: string, file: string): void {
  try {
    linkSync(part, file);
  } catch (error) {
    if (codeOf(error) === 'EEXIST' || existsSync(file)) throw error;
    renameSync(part, file);
  }
}
