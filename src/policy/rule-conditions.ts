import { type DeadRead, type Outlook, outlookOf, type RuleView } from './cel-outlook.ts';
import { syntaxOf } from './conditions.ts';
import type { OperationRule } from './ruled.ts';
import { closestOf } from './spelling.ts';
import { type Stand, standsIn } from './stands.ts';
import { BODILESS, METHODS } from './template.ts';
import type { PolicyProblem, YamlSource } from './yaml-source.ts';

/**
 * Conditions that ask of a rule what it can never have: a name that is not in its template, or the body of a method
 * without one. What cannot be evaluated denies, so such a rule would deny for ever, and nobody means that.
 */
export function ruleConditionProblems(source: YamlSource): PolicyProblem[] {
  return standsIn(source.value).flatMap((stand) => problemsOf(stand, source));
}

function viewOf(rule: OperationRule, effect: Stand['effect']): RuleView {
  const methods = rule.method === '*' ? METHODS : new Set([rule.method]);
  return {
    // A denial of GET covers HEAD.
    methods: effect === 'deny' && rule.method === 'GET' ? BODILESS : methods,
    names: namesOf(rule),
    hasBody: !BODILESS.has(rule.method),
  };
}

function namesOf(rule: OperationRule): ReadonlySet<string> {
  return new Set(rule.segments.flatMap((segment) => (segment.kind === 'literal' ? [] : [segment.name])));
}

function problemsOf(stand: Stand, source: YamlSource): PolicyProblem[] {
  const tree = syntaxOf(stand.when);
  if (tree === null) return [];
  const views = stand.rules.map((rule) => viewOf(rule, stand.effect));
  const outlooks = views.map((view) => outlookOf(tree, view));
  const nowhere = deadEverywhere(outlooks);
  const never = outlooks.every(({ value }) => value === 'unevaluable');
  // With those mended in mind: which rules does the condition still fail?
  const mended = views.map((view) => mendedView(view, nowhere));
  const failing = mended.map((view) => outlookOf(tree, view));
  return [
    ...nowhere.map((read) => nowhereProblem(read, stand, never, source)),
    ...failingReads(failing).map((read) => somewhereProblem(read, stand, failing, source)),
  ];
}

/** Reads that are dead in every rule, each thing once. */
function deadEverywhere([first, ...others]: readonly Outlook[]): DeadRead[] {
  const all = first?.dead ?? [];
  return distinct(all.filter((read) => others.every(({ dead }) => dead.some(({ offset }) => offset === read.offset))));
}

function failingReads(outlooks: readonly Outlook[]): DeadRead[] {
  return distinct(outlooks.flatMap(({ value, dead }) => (value === 'unevaluable' ? dead : [])));
}

const same = (a: DeadRead, b: DeadRead): boolean => a.of === b.of && a.name === b.name;

const distinct = (reads: readonly DeadRead[]): DeadRead[] =>
  reads.filter((read, i) => reads.findIndex((other) => same(read, other)) === i);

function mendedView(view: RuleView, reads: readonly DeadRead[]): RuleView {
  const names = reads.flatMap(({ of, name }) => (of === 'params' ? [name] : []));
  return {
    ...view,
    names: new Set([...view.names, ...names]),
    hasBody: view.hasBody || reads.some(({ of }) => of === 'body'),
  };
}

const CONSEQUENCES = {
  allow: 'the rule can never allow',
  deny: 'the rule always denies',
  approval: 'a person is always asked',
} as const;

function nowhereProblem(read: DeadRead, stand: Stand, never: boolean, source: YamlSource): PolicyProblem {
  const so = never ? `, so ${CONSEQUENCES[stand.effect]}` : '';
  const texts = textsOf(read, stand.rules);
  if (read.of === 'body') {
    const have = texts.length === 1 ? 'has' : 'have';
    return source.problemAt(
      stand.path,
      `body cannot be read: ${listed(texts)} ${have} none (a GET or HEAD with a body is refused)${so}`,
      'ask query, params or headers instead, or name a method that has a body',
      read.offset,
    );
  }
  const who = texts.length === 1 ? `${listed(texts)} has no` : 'no template of the capability has';
  const names = new Set(stand.rules.flatMap((rule) => [...namesOf(rule)]));
  const near = closestOf(read.name, names);
  const known = [...names].map((name) => `params.${name}`).join(', ');
  const fix =
    near !== null
      ? `did you mean 'params.${near}'?`
      : names.size > 0
        ? `known here: ${known}; or write {${read.name}} into the template`
        : `write {${read.name}} into the template`;
  return source.problemAt(
    stand.path,
    `params.${read.name} cannot be read: ${who} {${read.name}}${so}`,
    fix,
    read.offset,
  );
}

/** What some rules have and others lack. */
function somewhereProblem(
  read: DeadRead,
  stand: Stand,
  outlooks: readonly Outlook[],
  source: YamlSource,
): PolicyProblem {
  const lacking = stand.rules.filter((_rule, i) => {
    const outlook = outlooks[i];
    return outlook?.value === 'unevaluable' && outlook.dead.some((dead) => same(dead, read));
  });
  const texts = textsOf(read, lacking);
  const [has, them] = texts.length === 1 ? ['has', 'it'] : ['have', 'them'];
  const so = {
    allow: `the condition can never allow ${them}`,
    deny: `the rule always denies ${them}`,
    approval: `a person is always asked about ${them}`,
  }[stand.effect];
  const what = read.of === 'body' ? 'none (a GET or HEAD with a body is refused)' : `no {${read.name}}`;
  const name = read.of === 'body' ? 'body' : `params.${read.name}`;
  return source.problemAt(
    stand.path,
    `${name} cannot be read: ${listed(texts)} ${has} ${what}, so ${so}`,
    read.of === 'body' ? bodyFix(lacking, stand) : nameFix(read.name, lacking, stand),
    read.offset,
  );
}

function nameFix(name: string, lacking: readonly OperationRule[], { effect }: Stand): string {
  for (const rule of lacking) {
    const near = closestOf(name, namesOf(rule));
    if (near !== null) return `did you mean {${name}} in '${rule.text}', where {${near}} stands?`;
  }
  return `${apart(effect, `{${name}}`)}, or say what holds without it: has(params.${name}) ? … : false`;
}

function bodyFix(lacking: readonly OperationRule[], { effect }: Stand): string {
  const methods = [...new Set(lacking.map(({ method }) => `"${method}"`))];
  const asked = methods.length === 1 ? `method == ${methods[0]}` : `method in [${methods.join(', ')}]`;
  const first = effect === 'allow' ? `${asked} || …` : `!(${asked}) && …`;
  return `${apart(effect, 'a body')}, or ask the method first: ${first}`;
}

/** An approval's condition stands for a whole capability, any other may stand at an entry of its own. */
const apart = (effect: Stand['effect'], what: string): string =>
  effect === 'approval'
    ? `give those with ${what} a capability of their own`
    : `give it to the entries with ${what} alone (match: …, when: …)`;

/** Rules as people wrote them; when the method is what matters, one by one. */
function textsOf(read: DeadRead, rules: readonly OperationRule[]): string[] {
  const texts = rules.map(({ method, text }) =>
    read.of === 'body' ? `${method} ${text.slice(text.indexOf(' ') + 1)}` : text,
  );
  return [...new Set(texts)].map((text) => `'${text}'`);
}

function listed(texts: readonly string[]): string {
  return texts.length < 2 ? (texts[0] ?? '') : `${texts.slice(0, -1).join(', ')} and ${texts.at(-1)}`;
}
