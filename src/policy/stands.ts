import type { OperationRule } from './ruled.ts';
import { operationsOf } from './template.ts';
import type { DocumentPath } from './yaml-source.ts';

/** A condition as written, and the rules that it stands over. */
export interface Stand {
  readonly when: string;
  readonly path: DocumentPath;
  readonly rules: readonly OperationRule[];
  readonly effect: 'allow' | 'deny' | 'approval';
}

/**
 * Every condition of a service's file. It reads the document as it is, so that what is wrong elsewhere in the file hides
 * nothing; what is no rule or no condition is passed over, for the schema speaks of it.
 */
export function standsIn(document: unknown): Stand[] {
  const service = mappingOf(document);
  const capabilities = Object.entries(mappingOf(service['capabilities']));
  return [
    ...ownStands(service['deny'], ['deny'], 'deny'),
    ...capabilities.flatMap(([name, one]) => capabilityStands(mappingOf(one), ['capabilities', name])),
  ];
}

function capabilityStands(capability: Readonly<Record<string, unknown>>, here: DocumentPath): Stand[] {
  const rules = entriesOf(capability['allow'], []).map(({ rules }) => rules);
  // With one entry that cannot be read, what all of them have is not known.
  const all = rules.every((some) => some.length > 0) ? rules.flat() : [];
  const approval = mappingOf(capability['approval'])['when'];
  return [
    ...ownStands(capability['allow'], [...here, 'allow'], 'allow'),
    ...ownStands(capability['deny'], [...here, 'deny'], 'deny'),
    ...standOf(capability['when'], [...here, 'when'], all, 'allow'),
    ...standOf(approval, [...here, 'approval', 'when'], all, 'approval'),
  ];
}

function ownStands(entries: unknown, path: DocumentPath, effect: Stand['effect']): Stand[] {
  return entriesOf(entries, path).flatMap((entry) => standOf(entry.when, [...entry.path, 'when'], entry.rules, effect));
}

function standOf(when: unknown, path: DocumentPath, rules: Stand['rules'], effect: Stand['effect']): Stand[] {
  return typeof when === 'string' && rules.length > 0 ? [{ when, path, rules, effect }] : [];
}

function entriesOf(
  written: unknown,
  path: DocumentPath,
): { path: DocumentPath; rules: OperationRule[]; when: unknown }[] {
  if (Array.isArray(written)) return written.flatMap((one, i) => entriesOf(one, [...path, i]));
  if (written === undefined) return [];
  const { match, when } = typeof written === 'string' ? { match: written, when: undefined } : mappingOf(written);
  const rules = typeof match === 'string' ? operationsOf(match, null) : null;
  return [{ path, rules: rules?.ok ? rules.value : [], when }];
}

const mappingOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
