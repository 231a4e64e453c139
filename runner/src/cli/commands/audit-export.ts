import { closeSync, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { findEdge } from '../../client/edge-address.ts';
import { EdgeClient } from '../../client/edge-client.ts';
import { counted } from '../../counted.ts';
import { Failure } from '../../failure.ts';
import { cannotWrite } from '../cannot-write.ts';
import { harmlessJson, note } from '../terminal.ts';

export interface ExportOptions {
  readonly out?: string;
  readonly state?: string;
}

/** Copies the export as it streams, so that its size does not matter. */
export async function exportAudit(options: ExportOptions): Promise<void> {
  const bytes = await new EdgeClient(findEdge(options.state)).stream('/v1/audit/export');
  if (options.out !== undefined) {
    const rows = await writeNew(options.out, bytes);
    return note(`wrote ${counted(rows, 'row')} and the checkpoint to ${options.out}`);
  }
  for await (const chunk of process.stdout.isTTY ? shownOf(bytes) : bytes) {
    if (!process.stdout.write(chunk)) await new Promise((resolve) => process.stdout.once('drain', resolve));
  }
}

/** A terminal gets the same JSON with what could trick it escaped; a file gets every byte as the edge wrote it. */
async function* shownOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const chunk of bytes) yield harmlessJson(decoder.decode(chunk, { stream: true }));
}

async function writeNew(file: string, body: AsyncIterable<Uint8Array>): Promise<number> {
  let fd: number;
  try {
    fd = openSync(file, 'wx', 0o600);
  } catch (error) {
    throw cannotWrite(file, error);
  }
  let lines = 0;
  try {
    for await (const chunk of body) {
      for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
      for (const byte of chunk) if (byte === 0x0a) lines += 1;
    }
    fsyncSync(fd);
  } catch (error) {
    unlinkSync(file);
    throw new Failure(
      `the export broke off: ${(error as Error).message}`,
      `${file} was not left half written: try again`,
    );
  } finally {
    closeSync(fd);
  }
  return Math.max(0, lines - 1);
}
