import type { Denial } from '../denial.ts';
import { conditionOf } from './conditions.ts';
import { ownerOf, type RuleMatch } from './decide.ts';
import { approvalWords, denialWords } from './decision-words.ts';
import { RequestContext, type RequestFacts } from './facts.ts';
import { grantOf, patternCovers } from './grants.ts';
import { type Judgement, judgeAccess, type SupposedRequest } from './judge.ts';
import type { AgentsPolicy, PolicyBundle } from './ruled.ts';
import { compileService, serviceOf } from './service.ts';

/** What one rule had to say. */
export interface ExplainedRule {
  readonly effect: 'allow' | 'deny';
  readonly capability: string;
  /** As written: `GET /v1/customers/{id}`. */
  readonly operation: string;
  readonly held: boolean;
  readonly conditions: readonly ExplainedCondition[];
}

export interface ExplainedCondition {
  readonly text: string;
  /** `unknown`: not evaluated, because the decision fell before the facts were read. */
  readonly value: boolean | 'unevaluable' | 'unknown';
  readonly why: string | null;
}

export interface Explanation {
  readonly verdict: 'allow' | 'deny' | 'approval';
  /** The deciding capability, when one decided. */
  readonly capability: string | null;
  readonly denial: Denial | null;
  /** The canonical path that was judged, or null when there is none. */
  readonly path: string | null;
  /** Held capabilities that agents.yaml does not let this agent hold: such a token cannot be had. */
  readonly notGrantable: readonly string[];
  /** Every rule whose method and path fit. */
  readonly rules: readonly ExplainedRule[];
  /** The same in sentences, one a line. */
  readonly words: readonly string[];
}

/**
 * Would this agent with these capabilities be allowed this request, and why?
 *
 * @param dev  As under `keywarden dev`, where without agents.yaml any agent may hold anything.
 */
export function explainAccess(bundle: PolicyBundle, request: SupposedRequest, dev = false): Explanation {
  const judgement = judgeAccess(bundle, request);
  const { decision } = judgement;
  const grant = grantOf(bundle.agents, dev, request.agent);
  const explained = {
    verdict: !decision.ok
      ? ('deny' as const)
      : decision.value.approval !== null
        ? ('approval' as const)
        : ('allow' as const),
    capability: decision.ok
      ? decision.value.capability.name
      : 'capability' in decision.error
        ? decision.error.capability
        : null,
    denial: decision.ok ? null : decision.error,
    path: judgement.access?.path ?? null,
    notGrantable: request.can.filter(
      (name) => grant === null || !grant.mayHold.some((pattern) => patternCovers(pattern, name)),
    ),
    rules: rulesOf(bundle, judgement, request),
  };
  return { ...explained, words: wordsOf(explained, request, judgement, bundle.agents) };
}

function rulesOf(bundle: PolicyBundle, { access, facts }: Judgement, request: SupposedRequest): ExplainedRule[] {
  const policy = serviceOf(bundle, request.service);
  if (policy === null || access === null) return [];
  const service = compileService(policy);
  const fitting = service.trie
    .match(access.path)
    .filter(
      ({ rule }) =>
        rule.method === '*' || rule.method === access.method || (rule.method === 'GET' && access.method === 'HEAD'),
    )
    .filter(({ rule, tag }) => tag.effect === 'deny' || rule.method !== 'GET' || access.method === 'GET')
    .filter(
      ({ rule, tag }) =>
        tag.effect === 'deny' ||
        policy.trailingSlash ||
        rule.trailingSlash === (access.path.length > 1 && access.path.endsWith('/')),
    );
  const context = facts === null ? null : new RequestContext(access.method, access.path, facts);
  return fitting
    .sort((a, b) => a.tag.order - b.tag.order)
    .map((match) => ({
      effect: match.tag.effect,
      capability: ownerOf(match.tag, service),
      operation: match.rule.text,
      held: request.can.includes(match.tag.capability?.name ?? ''),
      conditions: conditionsOf(match, context, facts),
    }));
}

function conditionsOf(
  match: RuleMatch,
  context: RequestContext | null,
  facts: RequestFacts | null,
): ExplainedCondition[] {
  const approval = match.tag.effect === 'allow' ? (match.tag.capability?.approval?.when ?? null) : null;
  const conditions = approval === null ? match.tag.conditions : [...match.tag.conditions, conditionOf(approval)];
  return conditions.map((condition) => {
    const text = condition.text === approval ? `approval when ${condition.text}` : condition.text;
    const bodyUnread = condition.needsBody && facts?.body === undefined && facts?.bodyRefusal === undefined;
    if (context === null || bodyUnread) return { text, value: 'unknown', why: null };
    if (condition.needsBody && facts?.bodyRefusal !== undefined)
      return { text, value: 'unevaluable', why: `body: ${facts.bodyRefusal}` };
    const result = condition.evaluate(context.withParams(match.params));
    return result.ok ? { text, value: result.value, why: null } : { text, value: 'unevaluable', why: result.error };
  });
}

function wordsOf(
  explained: Omit<Explanation, 'words'>,
  request: SupposedRequest,
  judgement: Judgement,
  agents: AgentsPolicy,
): string[] {
  const words = [
    `${request.method} ${explained.path ?? request.target} at ${request.service}, for ${request.agent} with ${request.can.join(', ') || 'no capability'}:`,
  ];
  for (const rule of explained.rules) {
    const standing = rule.effect === 'deny' ? 'forbids' : rule.held ? 'allows, held' : 'allows, not held';
    words.push(`- ${rule.capability} ${standing}: ${rule.operation}`);
    for (const { text, value, why } of rule.conditions) {
      const spoken =
        value === 'unevaluable'
          ? `cannot be evaluated (${why ?? ''})`
          : value === 'unknown'
            ? 'not evaluated'
            : value
              ? 'holds'
              : 'does not hold';
      words.push(`    ${text.startsWith('approval when ') ? '' : 'when '}${text}: ${spoken}`);
    }
  }
  if (explained.rules.length === 0 && explained.path !== null) words.push('- no rule fits this method and path');
  words.push(verdictWords(explained, judgement));
  if (explained.notGrantable.length > 0) {
    words.push(
      agents.source === 'absent'
        ? 'But there is no agents.yaml, so nobody may hold anything: it could not get this token.'
        : `But agents.yaml does not let ${request.agent} hold ${explained.notGrantable.join(', ')}: it could not get this token.`,
    );
  }
  return words;
}

function verdictWords({ denial, verdict, capability }: Omit<Explanation, 'words'>, { decision }: Judgement): string {
  if (denial === null) {
    const operation = decision.ok ? decision.value.operation : '';
    const spec = decision.ok ? decision.value.approval : null;
    return verdict === 'approval' && spec !== null
      ? `Needs a person's approval: ${capability ?? ''} by '${operation}'. ${approvalWords(spec)}`
      : `Allowed: ${capability ?? ''} by '${operation}'.`;
  }
  return `Denied: ${denialWords(denial)}.`;
}
