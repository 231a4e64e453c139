import { AuditListResponse, type AuditRowJson } from '../../../../src/protocol.ts';
import { findEdge } from '../../client/edge-address.ts';
import { EdgeClient } from '../../client/edge-client.ts';
import { counted } from '../../counted.ts';
import { openTable } from '../table.ts';
import { type Colour, harmlessLine, jsonText, nextPage, note, print, printJson } from '../terminal.ts';

/** What is asked of the edge. */
interface Filter {
  readonly agent?: string;
  readonly session?: string;
  readonly capability?: string;
  readonly service?: string;
  readonly decision?: string;
  readonly event?: string;
  readonly since?: string;
  readonly until?: string;
  readonly request?: string;
  readonly reason?: string;
  readonly text?: string;
}

export interface ListOptions extends Filter {
  readonly limit: number;
  readonly cursor?: string;
  readonly follow?: boolean;
  readonly state?: string;
  readonly json?: boolean;
}

const FOLLOW_EVERY_MS = 1_000;

/** Lists rows, oldest first, since what happened last is what a terminal shows last. */
export async function listAudit({ follow, state, json, limit, cursor, ...filter }: ListOptions): Promise<void> {
  const client = new EdgeClient(findEdge(state));
  const first = await client.get('/v1/audit', AuditListResponse, { ...queryOf(filter), limit, cursor });
  if (follow) return goOn(client, filter, first, json ? printLines : tableOfRows());
  if (json) return printJson(first);
  if (first.rows.length === 0) note(`no row fits${filterWords(filter)}`);
  else tableOfRows()(inOrder(first.rows));
  if (first.text_since !== undefined) note(`searched back to ${first.text_since}: --since goes further`);
  if (first.next_cursor !== null) note(`there are older rows: ${nextPage(first.next_cursor)}`);
  const waiting = first.waiting_rows ?? 0;
  if (waiting > 0) note(`${counted(waiting, 'row')} waiting in the ledgers, not listed yet`);
}

async function goOn(
  client: EdgeClient,
  filter: Filter,
  first: AuditListResponse,
  show: (rows: readonly AuditRowJson[]) => void,
): Promise<never> {
  const seen = new Set<string>();
  let rows = inOrder(first.rows);
  let from = filter.since;
  for (;;) {
    const fresh = rows.filter((row) => !seen.has(nameOf(row)));
    for (const row of fresh) seen.add(nameOf(row));
    show(fresh);
    // Rows reach the list in batches, a ledger's older ones after another's newer ones: look back a minute each time.
    const newest = rows.at(-1)?.at;
    if (newest !== undefined) from = new Date(Date.parse(newest) - 60_000).toISOString();
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_EVERY_MS));
    rows = inOrder(
      (await client.get('/v1/audit', AuditListResponse, { ...queryOf(filter), since: from, limit: 1000 })).rows,
    );
  }
}

const queryOf = ({ request, ...filter }: Filter) => ({ ...filter, request_id: request });

const nameOf = (row: AuditRowJson): string => `${row.seq}@${row.ledger}`;

const filterWords = (filter: Filter): string => {
  const given = Object.entries(filter).map(([name, value]) => `--${name} ${harmlessLine(String(value))}`);
  return given.length === 0 ? ': nothing is recorded yet' : `: ${given.join(' ')}`;
};

function inOrder(rows: readonly AuditRowJson[]): AuditRowJson[] {
  return [...rows].sort((a, b) => (a.at === b.at ? a.seq - b.seq : a.at < b.at ? -1 : 1));
}

function printLines(rows: readonly AuditRowJson[]): void {
  for (const row of rows) print(jsonText(row));
}

function tableOfRows(): (rows: readonly AuditRowJson[]) => void {
  let shown: readonly AuditRowJson[] = [];
  const table = openTable({
    heading: ['TIME', 'AGENT', 'EVENT', 'CAPABILITY', 'RESULT', 'WHAT'],
    whole: [0, 2],
    colourOf: (r, c) => (c === 2 ? (COLOUR_OF[shown[r]?.event.split('.')[1] ?? ''] ?? null) : null),
  });
  return (rows) => {
    shown = rows;
    table(rows.map((row) => cellsOf(row).map(harmlessLine)));
  };
}

const COLOUR_OF: Readonly<Record<string, Colour>> = {
  denied: 'red',
  refused: 'red',
  failed: 'yellow',
  unknown: 'yellow',
  echoed: 'yellow',
  completed: 'green',
};

function cellsOf(row: AuditRowJson): string[] {
  const result = [row.status, row.reason].filter((part) => part !== null).join(' ');
  return [row.at, row.agent ?? '-', row.event, row.capability ?? '-', result || '-', whatOf(row)];
}

/** The call; of what is none, who did it and what the row says besides. First of all, what of the row cannot be read. */
function whatOf(row: AuditRowJson): string {
  const altered = row.unreadable === undefined ? [] : [`(altered, unreadable: ${row.unreadable.join(', ')})`];
  return [...altered, saidBy(row)].join(' ');
}

function saidBy(row: AuditRowJson): string {
  if (row.method !== null) {
    const query = row.query_names ? `?${row.query_names}` : '';
    return `${row.method} ${row.service ?? ''}${row.path ?? ''}${query}`;
  }
  const by = row.operator === null ? [] : [`by ${row.operator}`];
  return [row.service ?? '', ...by, ...Object.entries(row.detail).map(([name, value]) => `${name}=${value}`)]
    .filter((part) => part !== '')
    .join(' ');
}
