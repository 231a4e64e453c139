import type { OperationRule } from './ruled.ts';

/** Rules as people wrote them: `GET|HEAD /x` is a rule for each method, and one entry. */
export const asWritten = (rules: readonly OperationRule[]): OperationRule[] => [
  ...new Map(rules.map((rule) => [JSON.stringify([rule.text, rule.when]), rule])).values(),
];
