import { expect, it } from 'vitest';
import { connectionsAt } from '../../runner/src/edge/gone-clients.ts';

// As Linux writes it: an edge at port 7800 (1E78), and who calls it.
const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                     ';
const row = (local: string, remote: string, state: string, inode: number): string =>
  `  57: ${local} ${remote} ${state} 00000000:00000001 00:00000000 00000000     0        0 ${inode} 1 00000000c7771c57 20 4 31 11 -1`;
const EDGE = '0100007F:1E78';
const CLIENT = '0100007F:C28A';
const tableOf = (...rows: string[]): string => [HEAD, row(EDGE, '00000000:0000', '0A', 1), ...rows, ''].join('\n');

it('a client is gone whose end of the connection has no owner any more', () => {
  const table = tableOf(row(CLIENT, EDGE, '05', 0), row(EDGE, CLIENT, '08', 77));
  expect(connectionsAt(table, 7800)).toEqual({ open: 1, abandoned: ['77'] });
});

it.each<[string, string[]]>([
  ['has ended its sending side alone', [row(CLIENT, EDGE, '05', 88), row(EDGE, CLIENT, '08', 77)]],
  ['is on another host, and cannot be seen', [row(EDGE, '0A00000A:C28A', '08', 77)]],
  ['sends still', [row(CLIENT, EDGE, '01', 88), row(EDGE, CLIENT, '01', 77)]],
])('a client that %s is not', (_, rows) => {
  expect(connectionsAt(tableOf(...rows), 7800)).toEqual({ open: 1, abandoned: [] });
});

it('of other ports, and of connections that the edge made or has ended, nothing is said', () => {
  const others = [
    row('0100007F:1E79', CLIENT, '08', 77),
    row(CLIENT, '0100007F:1E79', '05', 0),
    row(EDGE, CLIENT, '06', 0),
    row('0100007F:C290', EDGE, '08', 78),
    row(EDGE, '0100007F:C290', '05', 0),
  ];
  expect(connectionsAt(tableOf(...others), 7800)).toEqual({ open: 0, abandoned: [] });
  expect(connectionsAt('', 7800)).toEqual({ open: 0, abandoned: [] });
});
