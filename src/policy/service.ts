import { type Condition, conditionOf } from './conditions.ts';
import type { CapabilityPolicy, OperationRule, PolicyBundle, ServicePolicy } from './ruled.ts';
import { PathTrie } from './trie.ts';

/** What a template in the trie stands for. */
export interface RuleTag {
  readonly effect: 'allow' | 'deny';
  /** The capability it is written in; null for the service's own denials. */
  readonly capability: CapabilityPolicy | null;
  /** Place of the rule in the policy, so that "first" means first as written. */
  readonly order: number;
  /** All of them must hold. */
  readonly conditions: readonly Condition[];
}

/** A service's policy, ready to decide. */
export interface CompiledService {
  readonly policy: ServicePolicy;
  readonly trie: PathTrie<RuleTag>;
}

const compiled = new WeakMap<ServicePolicy, CompiledService>();

/** The compiled form of a policy: made at its first use in this isolate, then kept as long as the policy is. */
export function compileService(policy: ServicePolicy): CompiledService {
  const known = compiled.get(policy);
  if (known !== undefined) return known;
  const service: CompiledService = { policy, trie: trieOf(policy) };
  compiled.set(policy, service);
  return service;
}

/** A service of the bundle by its id; null for any other word, `constructor` and its like included. */
export function serviceOf(bundle: PolicyBundle, id: string): ServicePolicy | null {
  return Object.hasOwn(bundle.services, id) ? (bundle.services[id] ?? null) : null;
}

function trieOf(policy: ServicePolicy): PathTrie<RuleTag> {
  const trie = new PathTrie<RuleTag>();
  let order = 0;
  const add = (rule: OperationRule, effect: 'allow' | 'deny', capability: CapabilityPolicy | null): void => {
    const shared = effect === 'allow' ? (capability?.when ?? null) : null;
    const texts = [shared, rule.when].filter((text) => text !== null);
    trie.add(rule, { effect, capability, order: order++, conditions: texts.map(conditionOf) });
  };
  for (const rule of policy.deny ?? []) add(rule, 'deny', null);
  for (const capability of policy.capabilities) {
    for (const rule of capability.deny) add(rule, 'deny', capability);
    for (const rule of capability.allow) add(rule, 'allow', capability);
  }
  return trie;
}
