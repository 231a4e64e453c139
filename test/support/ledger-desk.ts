import type { Ask, AskAnswer, DecideAnswer, Shown } from '../../src/approvals/contract.ts';
import type { Decision, Question } from '../../src/approvals/state.ts';
import { env, events, ledgerOf } from './ledger-world.ts';
import { questionOf } from './question.ts';

/** The desk of the workerd that the tests run in, and what is asked of it. */
export const desk = () => env.APPROVALS.get(env.APPROVALS.idFromName('desk'));
const SHOWN = { method: 'POST', url: 'https://bank.example/v1/payments?code=hunter2' } as Shown;
let requests = 0;
export const askOf = (more: Partial<Question>, after: string | null): Ask => ({
  question: questionOf(more),
  shown: SHOWN,
  requestId: `request-${++requests}`,
  after,
});
export const ask = async (more: Partial<Question> = {}, after: string | null = null): Promise<AskAnswer> =>
  (await desk().ask(askOf(more, after))) as AskAnswer;
export const pending = async (more: Partial<Question> = {}): Promise<string> => {
  const answer = await ask(more);
  if (answer.kind !== 'pending') throw new Error(answer.kind);
  return answer.id;
};
export const decide = async (
  id: string,
  operator = 'alice',
  { link = null, ...more }: Partial<Decision> & { link?: string | null } = {},
): Promise<DecideAnswer> =>
  (await desk().decide(
    {
      id,
      decider: { operator, names: [operator], admin: false, minted: false },
      decision: { verdict: 'approve', scope: 'once', via: 'api', reason: null, ...more },
      link,
    },
    `request-${++requests}`,
  )) as unknown as DecideAnswer;
export const stateOf = async (id: string) => (await desk().get(id))?.approval.state;
export const inLedger = async (): Promise<string[]> => {
  await ledgerOf().flush();
  return events();
};
