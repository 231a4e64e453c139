import { edgeIfAny } from '../../client/edge-if-any.ts';
import { EXIT } from '../../failure.ts';
import { backendOf } from '../../session/choose-backend.ts';
import { runnerKey } from '../../session/runner-key.ts';
import { findRunnerState } from '../../session/runner-state.ts';
import { sessionEdge } from '../../session/session-edge.ts';
import { sweepLeases } from '../../session/sweep-leases.ts';
import { harmlessLine, note, print, printJson } from '../terminal.ts';
import type { SweepOptions } from './sweep.ts';

export async function sweep(options: SweepOptions): Promise<number> {
  const state = findRunnerState(options.state);
  const { client, why } = edgeIfAny(options.state);
  const swept = await sweepLeases({
    state,
    key: () => runnerKey(state),
    edge: client === null ? null : sessionEdge(client),
    backendOf,
    say: note,
  });
  if (client === null && swept.receiptsWaiting.length > 0) note(`no edge is asked: ${why}`);
  if (options.json) {
    printJson({
      sessions: swept.sessions,
      receipts_sent: swept.receiptsSent,
      receipts_waiting: swept.receiptsWaiting,
    });
  } else {
    for (const { session, did, detail } of swept.sessions) {
      print(`${session}  ${did.replaceAll('_', ' ')}: ${harmlessLine(detail)}`);
    }
    for (const session of swept.receiptsSent) print(`${session}  receipt sent`);
    for (const session of swept.receiptsWaiting) print(`${session}  receipt waits for the edge`);
    if (swept.sessions.length + swept.receiptsSent.length + swept.receiptsWaiting.length === 0)
      note('nothing to sweep');
  }
  return swept.sessions.some(({ did }) => did === 'incomplete') ? EXIT.negative : EXIT.ok;
}
