import { AuditListResponse, type AuditRowJson } from '../../../../src/protocol.ts';
import { findEdge } from '../../client/edge-address.ts';
import { EdgeClient } from '../../client/edge-client.ts';
import { harmlessLine, jsonText, print, printJson, printTable } from '../terminal.ts';

export interface ListOptions {
  readonly agent?: string;
  readonly session?: string;
  readonly capability?: string;
  readonly service?: string;
  readonly decision?: string;
  readonly event?: string;
  readonly since?: string;
  readonly limit: number;
  readonly follow?: boolean;
  readonly state?: string;
  readonly json?: boolean;
}

const FOLLOW_EVERY_MS = 1_000;

/** Lists rows, oldest first, since what happened last is what a terminal shows last. */
export async function listAudit(options: ListOptions): Promise<void> {
  const client = new EdgeClient(findEdge(options.state));
  const { agent, session, capability, service, decision, event, since, limit } = options;
  const query = { agent, session, capability, service, decision, event, since, limit };
  const first = await client.get('/v1/audit', AuditListResponse, query);
  if (!options.follow) return options.json ? printJson(first) : printRows(inOrder(first.rows), true);
  const seen = new Set<string>();
  let rows = inOrder(first.rows);
  let from = since;
  let heading = true;
  for (;;) {
    const fresh = rows.filter((row) => !seen.has(nameOf(row)));
    for (const row of fresh) seen.add(nameOf(row));
    if (options.json) for (const row of fresh) print(jsonText(row));
    else printRows(fresh, heading);
    if (fresh.length > 0) heading = false;
    // Rows reach the list in batches, a ledger's older ones after another's newer ones: look back a minute each time.
    const newest = rows.at(-1)?.at;
    if (newest !== undefined) from = new Date(Date.parse(newest) - 60_000).toISOString();
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_EVERY_MS));
    rows = inOrder((await client.get('/v1/audit', AuditListResponse, { ...query, since: from, limit: 1000 })).rows);
  }
}

const nameOf = (row: AuditRowJson): string => `${row.seq}@${row.ledger}`;

function inOrder(rows: readonly AuditRowJson[]): AuditRowJson[] {
  return [...rows].sort((a, b) => (a.at === b.at ? a.seq - b.seq : a.at < b.at ? -1 : 1));
}

const COLUMNS = ['TIME', 'AGENT', 'EVENT', 'CAPABILITY', 'CALL', 'STATUS', 'REASON'];

function printRows(rows: readonly AuditRowJson[], heading: boolean): void {
  const table = rows.map((row) => cellsOf(row).map(harmlessLine));
  if (heading) table.unshift(COLUMNS);
  if (table.length > 0) {
    printTable(table, (r, c) => {
      if (heading && r === 0) return 'dim';
      const row = rows[heading ? r - 1 : r];
      return c === 2 && row !== undefined ? (COLOUR_OF[row.event.split('.')[1] ?? ''] ?? null) : null;
    });
  }
}

const COLOUR_OF: Readonly<Record<string, 'red' | 'green' | 'yellow'>> = {
  denied: 'red',
  refused: 'red',
  failed: 'yellow',
  unknown: 'yellow',
  echoed: 'yellow',
  completed: 'green',
};

function cellsOf(row: AuditRowJson): string[] {
  const query = row.query_names ? `?${row.query_names}` : '';
  const call = row.method === null ? '' : `${row.method} ${row.service ?? ''}${row.path ?? ''}${query}`;
  return [
    row.at,
    row.agent ?? '-',
    row.event,
    row.capability ?? '-',
    call,
    row.status === null ? '-' : String(row.status),
    row.reason ?? '',
  ];
}
