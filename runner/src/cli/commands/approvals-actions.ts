import {
  ApprovalDetail,
  ApprovalEvent,
  ApprovalId,
  ApprovalJson,
  ApprovalListResponse,
  type ShownValue,
} from '../../../../src/protocol.ts';
import { findEdge } from '../../client/edge-address.ts';
import { EdgeClient } from '../../client/edge-client.ts';
import { counted } from '../../counted.ts';
import { Failure, usage } from '../../failure.ts';
import { printTable } from '../table.ts';
import { coloured, harmless, harmlessLine, jsonText, nextPage, note, print, printJson } from '../terminal.ts';
import type { Common, DecideOptions, ListOptions } from './approvals.ts';

/** Of one page, as the edge and `--limit` have it. */
const MOST = 200;

export async function list(options: ListOptions): Promise<void> {
  const state = options.all ? undefined : (options.only ?? 'pending');
  const page = await new EdgeClient(findEdge(options.state)).get('/v1/approvals', ApprovalListResponse, {
    state,
    agent: options.agent,
    session: options.session,
    limit: options.limit,
    cursor: options.cursor,
  });
  if (options.json) return printJson(page);
  if (page.approvals.length === 0) return note(state === 'pending' ? 'nothing waits for a decision' : 'none');
  const rows = [...page.approvals]
    .reverse()
    .map((one) =>
      [
        one.id,
        one.created_at,
        one.state,
        one.agent_id,
        one.capability,
        `${one.method} ${one.url}`,
        one.needed > 1 ? `${one.votes.length}/${one.needed}` : '',
      ].map(harmlessLine),
    );
  // One decides by these: the end of a call must not be hidden.
  const heading = ['ID', 'ASKED', 'STATE', 'AGENT', 'CAPABILITY', 'CALL', ''];
  printTable(rows, { heading, whole: heading.map((_, column) => column) });
  if (page.next_cursor !== null) note(`there are more: ${nextPage(page.next_cursor)}`);
}

export async function decide(id: string, verdict: 'approve' | 'deny', options: DecideOptions): Promise<void> {
  const client = new EdgeClient(findEdge(options.state));
  const body = {
    via: 'cli',
    ...(options.reason === undefined ? {} : { reason: options.reason }),
    ...(verdict === 'approve' ? { scope: options.alike ? 'alike' : 'once' } : {}),
  };
  const said = await client.post(`/v1/approvals/${await wholeId(client, id)}/${verdict}`, body, ApprovalJson);
  if (options.json) return printJson(said);
  note(harmlessLine(outcomeOf(said)));
}

function outcomeOf(one: ApprovalJson): string {
  const call = `${one.method} ${one.url} by ${one.agent_id}`;
  if (one.state === 'pending') return `counted: ${one.votes.length} of ${one.needed} agree to ${call}`;
  if (one.state !== 'approved' || one.allows === null) return `${one.state}: ${call}`;
  const what = one.allows.scope === 'alike' ? `up to ${counted(one.allows.calls, 'call')} alike` : 'once';
  return `approved ${what}, until ${one.allows.until}: ${call}`;
}

/** Ids are long: the beginning of a pending one's will do, if it means one. */
async function wholeId(client: EdgeClient, id: string): Promise<string> {
  if (ApprovalId.safeParse(id).success) return id;
  if (!/^[0-9a-f-]{4,36}$/.test(id)) throw usage(`'${id}' is no approval`, 'keywarden approvals list');
  const { approvals } = await client.get('/v1/approvals', ApprovalListResponse, { state: 'pending', limit: MOST });
  const found = approvals.filter((one) => one.id.startsWith(id));
  if (found.length === 1) return (found[0] as ApprovalJson).id;
  throw new Failure(
    found.length === 0 ? `no pending approval begins with ${id}` : `${found.length} approvals begin with ${id}`,
    'keywarden approvals list',
  );
}

export async function show(id: string, options: Common): Promise<void> {
  const client = new EdgeClient(findEdge(options.state));
  const detail = await client.get(`/v1/approvals/${await wholeId(client, id)}`, ApprovalDetail);
  if (options.json) printJson(detail);
  else printDetail(detail);
}

function printDetail(one: ApprovalDetail): void {
  const lines: (readonly [string, string])[] = [
    ['approval', one.id],
    ['state', one.decided_by === null ? one.state : `${one.state} by ${one.decided_by} (${one.decided_via ?? ''})`],
    ['agent', one.session_id === null ? one.agent_id : `${one.agent_id}, session ${one.session_id}`],
    ['wants to', one.description === '' ? one.title : `${one.title}. ${one.description}`],
    ['capability', `${one.capability}, by ${one.operation}`],
    ['asked', `${one.created_at}, ${one.asks === 1 ? 'once' : `${one.asks} times`}; ends ${one.expires_at}`],
    ['because', one.because ?? 'the policy always asks'],
    ['call', `${one.method} ${one.url}`],
    ...one.headers.map(({ name, value }): [string, string] => ['header', `${name}: ${value}`]),
    [
      'body',
      one.body.form === 'none'
        ? 'none'
        : `${counted(one.body.bytes, 'byte')} of ${one.body.content_type ?? 'unknown type'}, sha256 ${one.body.sha256}`,
    ],
  ];
  for (const [name, value] of lines) print(`${coloured('dim', name.padEnd(11))} ${harmlessLine(value)}`);
  if (one.body.unreadable !== null)
    print(coloured('yellow', `            it cannot be read strictly: ${harmlessLine(one.body.unreadable)}`));
  if (one.body.value !== null)
    for (const line of linesOf(one.body.value as ShownValue)) print(`            ${harmless(line)}`);
  if (one.recent.length > 0) {
    print(coloured('dim', 'lately'));
    printTable(
      one.recent
        .slice(0, 12)
        .map((row) =>
          [
            `            ${row.at}`,
            row.event,
            row.method === null ? '' : `${row.method} ${row.service ?? ''}${row.path ?? ''}`,
            row.reason ?? (row.status === null ? '' : String(row.status)),
          ].map(harmlessLine),
        ),
    );
  }
  const { once, alike } = one.would_allow;
  print(
    `${coloured('dim', 'a yes      ')} allows exactly this request once within ${once.seconds} s, while its token lives`,
  );
  if (alike !== null) {
    print(
      `${coloured('dim', '--alike    ')} allows ${counted(alike.calls, 'call')} within ${alike.seconds} s, while its token lives, that share:`,
    );
    for (const { name, value } of alike.pattern) print(`            ${harmlessLine(`${name} = ${value}`)}`);
  }
  if (one.state === 'pending') note(`keywarden approvals approve ${one.id}, or deny ${one.id}`);
}

/** A body's tree, one leaf a line. */
function linesOf(value: ShownValue, name = '', indent = ''): string[] {
  const label = name === '' ? '' : `${name}: `;
  const more = (count: number): string[] => (count === 0 ? [] : [`${indent}  … and ${count} more, not shown`]);
  switch (value.kind) {
    case 'null':
      return [`${indent}${label}null`];
    case 'cut':
      return [`${indent}${label}… not shown`];
    case 'boolean':
      return [`${indent}${label}${value.value}`];
    case 'number':
      return [`${indent}${label}${value.text}${value.inexact ? ' (too large to be shown exactly)' : ''}`];
    case 'string':
      return [
        `${indent}${label}${JSON.stringify(value.text)}${value.length === undefined ? '' : ` (of ${counted(value.length, 'character')})`}`,
      ];
    case 'list':
      return [
        `${indent}${label}[${value.items.length === 0 ? ']' : ''}`,
        ...value.items.flatMap((item) => linesOf(item, '-', `${indent}  `)),
        ...more(value.more),
      ];
    case 'object':
      return [
        ...(name === '' ? [] : [`${indent}${label}`]),
        ...value.entries.flatMap((entry) => linesOf(entry.value, entry.name, name === '' ? indent : `${indent}  `)),
        ...more(value.more),
      ];
  }
}

/** Until the connection ends, which is a failure: who watches wants to know that nothing is seen any more. */
export async function watch(options: Common): Promise<void> {
  const address = findEdge(options.state);
  const url = `${address.url.replace(/^http/, 'ws')}/v1/approvals/live`;
  // Node's own WebSocket takes header fields as an extension.
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${address.operatorKey}` } } as never);
  const beat = setInterval(() => socket.readyState === WebSocket.OPEN && socket.send('ping'), 30_000);
  try {
    await new Promise<void>((_, reject) => {
      socket.addEventListener('message', ({ data }) => {
        if (data !== 'pong') tell(String(data), options.json === true);
      });
      socket.addEventListener('error', () =>
        reject(new Failure(`${address.url} lets nobody watch with this key`, 'it needs the role approve or audit')),
      );
      socket.addEventListener('close', () => reject(new Failure(`the connection to ${address.url} ended`)));
    });
  } finally {
    clearInterval(beat);
    socket.close();
  }
}

function tell(text: string, json: boolean): void {
  const parsed = ApprovalEvent.safeParse(JSON.parse(text));
  if (!parsed.success) return;
  const event = parsed.data;
  if (json) {
    print(jsonText(event));
    return;
  }
  const all = event.type === 'hello' ? [...event.approvals].reverse() : [event.approval];
  if (event.type === 'hello') note(`watching; ${event.pending} waiting`);
  for (const one of all) {
    const by = one.decided_by === null ? '' : ` by ${one.decided_by}`;
    print(
      harmlessLine(
        `${new Date().toISOString()}  ${one.state}${by}  ${one.agent_id}  ${one.capability}  ${one.method} ${one.url}  ${one.id}`,
      ),
    );
  }
}
