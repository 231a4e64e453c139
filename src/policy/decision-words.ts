import type { Denial } from '../denial.ts';
import type { ApprovalSpec } from './ruled.ts';
import { METHODS } from './template.ts';

/** Why something is denied, for who writes policies: what a client is told is worded elsewhere, and says less. */
export function denialWords(denial: Denial): string {
  switch (denial.kind) {
    case 'service_unknown':
      return `no policy has the service '${denial.service}'`;
    case 'method_refused':
      return METHODS.has(denial.method.toUpperCase())
        ? `methods are upper case: ${denial.method.toUpperCase()}`
        : `the method ${denial.method} is never forwarded`;
    case 'path_refused':
      return `the path has no canonical form (${denial.why.replaceAll('_', ' ')})`;
    case 'query_refused':
      return `the query has no canonical form: ${denial.why}`;
    case 'header_refused':
      return `the header ${denial.header} is refused: ${denial.why}`;
    case 'operation_unknown':
      return 'no capability of the service allows this operation';
    case 'capability_missing':
      return `the token lacks ${denial.wouldAllow.join(' or ')}`;
    case 'rule_denied':
      return `forbidden by ${denial.capability}`;
    case 'condition_unmet':
      return [`${denial.capability} wants ${denial.condition}`, ...(denial.others ?? [])].join('; ');
    case 'condition_unevaluable':
      return `${denial.capability} wants ${denial.condition}, which cannot be evaluated (${denial.why})`;
    case 'body_refused':
      return `a rule reads the body, and it cannot be read strictly (${denial.why.replaceAll('_', ' ')})`;
    default:
      return denial.kind.replaceAll('_', ' ');
  }
}

/** Who must agree, within what time, and what one yes may cover. */
export function approvalWords({ reviewers, count, ttlMs, alike, separate }: ApprovalSpec): string {
  const who = count === 2 ? 'Two people' : 'One person';
  const words = [`${who}${reviewers === null ? '' : ` of ${reviewers}`} must agree within ${durationWords(ttlMs)}.`];
  if (separate === true) words.push('Who minted the token does not count.');
  if (alike !== undefined)
    words.push(
      `One yes may cover up to ${alike.count} calls in ${durationWords(alike.forMs)} with the same ${alike.same.join(', ')}.`,
    );
  return words.join(' ');
}

const durationWords = (ms: number): string =>
  ms % 3_600_000 === 0 ? `${ms / 3_600_000} h` : ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1000} s`;
