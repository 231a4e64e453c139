import type { Access } from '../access.ts';
import type { Denial } from '../denial.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { type Condition, conditionOf } from './conditions.ts';
import { RequestContext, type RequestFacts } from './facts.ts';
import type { ApprovalSpec, CapabilityPolicy } from './ruled.ts';
import type { CompiledService, RuleTag } from './service.ts';
import { METHODS } from './template.ts';
import type { TrieMatch } from './trie.ts';

export type RuleMatch = TrieMatch<RuleTag>;

/** What method, path and token leave open: the conditions. */
export interface AccessPlan {
  readonly service: CompiledService;
  readonly access: Access;
  /** Every denial that may apply, of every capability, held or not. */
  readonly denials: readonly RuleMatch[];
  /** Rules of held capabilities, in the order in which they are tried. */
  readonly candidates: readonly RuleMatch[];
  /** Rules that would allow it to who held their capability; asked only for a better answer to a no. */
  readonly unheld: readonly RuleMatch[];
  /** Whether the body must be read before {@link decideAccess}. */
  readonly needsBody: boolean;
}

/** A yes: by which capability, for which operation as written, and whether a person must agree first. */
export interface AccessGrant {
  readonly capability: CapabilityPolicy;
  /** The rule's text: `GET /v1/customers/{id}`. */
  readonly operation: string;
  /** Set when the capability's approval applies to this request. */
  readonly approval: ApprovalSpec | null;
}

/**
 * The first phase of a decision: method and path against the rules, and what the token holds against both.
 *
 * Denials of *every* capability of the service count, held or not, so that to drop a capability from a token never
 * turns a no into a yes.
 *
 * @param held  Full names of the capabilities that the token carries.
 */
export function planAccess(
  service: CompiledService,
  access: Access,
  held: ReadonlySet<string>,
): Result<AccessPlan, Denial> {
  if (!METHODS.has(access.method)) return err({ kind: 'method_refused', method: access.method.slice(0, 32) });

  const matches = service.trie.match(access.path);
  const denials = matches.filter(({ rule, tag }) => tag.effect === 'deny' && denialCovers(rule.method, access.method));
  // An unconditional no needs no further facts, and a token that holds nothing here shall not learn more than that.
  const plain = denials.find(({ tag }) => tag.conditions.length === 0);
  if (plain !== undefined) return err({ kind: 'rule_denied', capability: ownerOf(plain.tag, service) });

  const slash = access.path.length > 1 && access.path.endsWith('/');
  const allows = matches
    .filter(({ rule, tag }) => tag.effect === 'allow' && (rule.method === '*' || rule.method === access.method))
    .filter(({ rule }) => service.policy.trailingSlash || rule.trailingSlash === slash)
    .sort((a, b) => a.tag.order - b.tag.order);
  if (allows.length === 0) return err({ kind: 'operation_unknown' });

  const mine = allows.filter(({ tag }) => held.has(tag.capability?.name ?? ''));
  if (mine.length === 0) {
    const wouldAllow = [...new Set(allows.map(({ tag }) => tag.capability?.name ?? ''))];
    return err({ kind: 'capability_missing', wouldAllow });
  }
  const candidates = [...mine.filter((match) => !allowReadsBody(match)), ...mine.filter(allowReadsBody)];
  const unheld = allows.filter((match) => !mine.includes(match));
  return ok({ service, access, denials, candidates, unheld, needsBody: bodyNeeded(denials, candidates) });
}

/** A denial of GET covers HEAD: what may not be read may not be probed. */
function denialCovers(rule: string, method: string): boolean {
  return rule === '*' || rule === method || (rule === 'GET' && method === 'HEAD');
}

function allowReadsBody({ tag }: RuleMatch): boolean {
  return tag.conditions.some((condition) => condition.needsBody) || approvalReadsBody(tag.capability);
}

function approvalReadsBody(capability: CapabilityPolicy | null): boolean {
  const when = capability?.approval?.when ?? null;
  return when !== null && conditionOf(when).needsBody;
}

function bodyNeeded(denials: readonly RuleMatch[], candidates: readonly RuleMatch[]): boolean {
  if (denials.some(({ tag }) => tag.conditions.some((condition) => condition.needsBody))) return true;
  // One that asks nothing wins whatever the body holds.
  if (candidates.some(({ tag }) => tag.conditions.length === 0 && tag.capability?.approval === null)) return false;
  return candidates.some(allowReadsBody);
}

/** Full name of the capability that a rule is written in; `<prefix>:*` for the service's own denials. */
export function ownerOf(tag: RuleTag, service: CompiledService): string {
  return tag.capability?.name ?? `${service.policy.prefix}:*`;
}

/**
 * The second phase: the conditions, over the facts of the request.
 *
 * A denial whose condition holds, or cannot be evaluated, is a no. Then the first candidate whose conditions hold wins;
 * but one that needs no approval wins over one that does. What cannot be evaluated does not allow.
 */
export function decideAccess(plan: AccessPlan, request: RequestFacts): Result<AccessGrant, Denial> {
  const context = new RequestContext(plan.access.method, plan.access.path, request);
  const refused = denialAmong(plan, context, request);
  if (refused !== null) return err(refused);

  let withApproval: AccessGrant | null = null;
  let nearest: Denial | null = null;
  const unmet: ConditionUnmet[] = [];
  for (const match of plan.candidates) {
    const failed = firstFailure(match, ownerOf(match.tag, plan.service), context, request);
    if (failed !== null) {
      nearest = nearer(nearest, failed);
      if (failed.kind === 'condition_unmet') unmet.push(failed);
      continue;
    }
    const grant = grantOf(match, context);
    if (grant.approval === null) return ok(grant);
    withApproval ??= grant;
  }
  if (withApproval !== null) return ok(withApproval);
  if (nearest?.kind !== 'condition_unmet') return err(nearest ?? { kind: 'operation_unknown' });
  return err(missingCapability(plan, context, request) ?? withOthers(nearest, unmet));
}

type ConditionUnmet = Extract<Denial, { readonly kind: 'condition_unmet' }>;

/** Which of its rights a call was meant to fit in, nobody knows: each says what it wants, the nearest first. */
function withOthers(nearest: ConditionUnmet, unmet: readonly ConditionUnmet[]): ConditionUnmet {
  const others = unmet
    .filter(({ capability }, i, all) => all.findIndex((one) => one.capability === capability) === i)
    .filter(({ capability }) => capability !== nearest.capability)
    .map(({ capability, condition }) => `${capability} only when: ${condition}`);
  return others.length === 0 ? nearest : { ...nearest, others };
}

/**
 * A push with a token for clones is no broken condition of the clone's: what lacks is the capability for pushes, as its own
 * condition says. A right without conditions is only a wider one: the narrow one's condition says more.
 */
function missingCapability(plan: AccessPlan, context: RequestContext, request: RequestFacts): Denial | null {
  const would = plan.unheld.filter(
    (match) => match.tag.conditions.length > 0 && firstFailure(match, '', context, request) === null,
  );
  if (would.length === 0) return null;
  return { kind: 'capability_missing', wouldAllow: [...new Set(would.map(({ tag }) => tag.capability?.name ?? ''))] };
}

function denialAmong(plan: AccessPlan, context: RequestContext, request: RequestFacts): Denial | null {
  for (const match of plan.denials) {
    const capability = ownerOf(match.tag, plan.service);
    const failed = firstFailure(match, capability, context, request);
    if (failed === null) return { kind: 'rule_denied', capability };
    if (failed.kind !== 'condition_unmet') return failed;
  }
  return null;
}

/** The first of a rule's conditions that does not hold, as a denial; null when all hold. */
function firstFailure(
  match: RuleMatch,
  capability: string,
  context: RequestContext,
  request: RequestFacts,
): Denial | null {
  let unevaluable: Denial | null = null;
  const facts = context.withParams(match.params);
  for (const condition of match.tag.conditions) {
    const held = condition.evaluate(facts);
    if (held.ok) {
      // False beside unevaluable is false: the rule does not apply, whatever the other says.
      if (!held.value) return { kind: 'condition_unmet', capability, condition: condition.text };
    } else unevaluable ??= unevaluableDenial(condition, capability, held.error, request);
  }
  return unevaluable;
}

function unevaluableDenial(condition: Condition, capability: string, why: string, request: RequestFacts): Denial {
  if (condition.needsBody && request.bodyRefusal !== undefined)
    return { kind: 'body_refused', why: request.bodyRefusal };
  return { kind: 'condition_unevaluable', capability, condition: condition.text, why };
}

/** Of several reasons, the first that says the request was understood and refused. */
function nearer(known: Denial | null, next: Denial): Denial {
  if (known === null) return next;
  return known.kind !== 'condition_unmet' && next.kind === 'condition_unmet' ? next : known;
}

function grantOf({ rule, tag, params }: RuleMatch, context: RequestContext): AccessGrant {
  const capability = tag.capability as CapabilityPolicy;
  const spec = capability.approval;
  return {
    capability,
    operation: rule.text,
    approval: spec !== null && approvalApplies(spec, context, params) ? spec : null,
  };
}

/** What cannot be told is for a person to decide. */
function approvalApplies(spec: ApprovalSpec, context: RequestContext, params: ReadonlyMap<string, string>): boolean {
  if (spec.when === null) return true;
  const applies = conditionOf(spec.when).evaluate(context.withParams(params));
  return !applies.ok || applies.value;
}
