import type { CapabilityPolicy, PolicyBundle, ServicePolicy } from './ruled.ts';

/** A capability and the service that defines it. */
export interface NamedCapability {
  readonly service: ServicePolicy;
  readonly capability: CapabilityPolicy;
}

const indexes = new WeakMap<PolicyBundle, ReadonlyMap<string, NamedCapability>>();

/** All capabilities of the bundle by full name; made once per bundle. */
export function capabilityIndex(bundle: PolicyBundle): ReadonlyMap<string, NamedCapability> {
  let index = indexes.get(bundle);
  if (index === undefined) {
    const entries = Object.values(bundle.services).flatMap((service) =>
      service.capabilities.map((capability) => [capability.name, { service, capability }] as const),
    );
    index = new Map(entries);
    indexes.set(bundle, index);
  }
  return index;
}
