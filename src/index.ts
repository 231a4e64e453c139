import { app } from './app.ts';
import { edgeOf } from './edge.ts';
import type { Env } from './env.ts';
import { bugResponse } from './routes/bug.ts';
import { withDrain } from './routes/drain.ts';
import { brokenResponse, tellBroken } from './routes/own-problem.ts';
import { proxy, splitProxyUrl } from './routes/proxy.ts';
import { prunePastRetention } from './scheduled.ts';
import { tellOfAlerts, watchSignals } from './signals/watch.ts';

export { ApprovalsDesk } from './approvals/desk.ts';
export { LedgerDirectory } from './ledger/directory.ts';
export { Ledger } from './ledger/ledger.ts';

/** As in wrangler.toml: every other time is for the signals. */
const RETENTION_CRON = '17 3 * * *';

export default {
  async fetch(request, env, ctx): Promise<Response> {
    // The agents' door goes round the router: it works on the raw request target.
    const parts = splitProxyUrl(request.url);
    if (parts === null) {
      const response = await app.fetch(request, env, ctx);
      return response.status < 400 ? response : withDrain(request, response, ctx);
    }
    const edge = await edgeOf(env);
    const requestId = crypto.randomUUID();
    if (!edge.ok) return withDrain(request, brokenResponse(edge.error, requestId, request.method), ctx);
    try {
      return await proxy(request, env, ctx, edge.value, parts);
    } catch (bug) {
      return withDrain(request, bugResponse(bug, requestId, request.method), ctx);
    }
  },
  async scheduled(controller, env): Promise<void> {
    if (controller.cron !== RETENTION_CRON) {
      const edge = await edgeOf(env);
      // There is nobody to answer: the log alone tells that no alert will come.
      if (!edge.ok) return tellBroken('the signals are not watched', edge.error);
      await watchSignals(env, edge.value, controller.scheduledTime);
      await tellOfAlerts(env, edge.value, Date.now());
      return;
    }
    console.log(
      JSON.stringify({ event: 'retention.done', ...(await prunePastRetention(env, controller.scheduledTime)) }),
    );
  },
} satisfies ExportedHandler<Env>;
