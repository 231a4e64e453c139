import type { ASTNode } from '@marcbachmann/cel-js';
import { childrenOf, fieldOf } from './cel-nodes.ts';
import { LOOPS } from './cel-rewrite.ts';

/** What a rule settles by itself, before there is any request. */
export interface RuleView {
  /** The methods that it may be asked about. */
  readonly methods: ReadonlySet<string>;
  /** The names in its template. */
  readonly names: ReadonlySet<string>;
  readonly hasBody: boolean;
}

/** A read of what the rule can never have: wherever it is evaluated, there is no value. */
export interface DeadRead {
  readonly of: 'params' | 'body';
  /** The name below `params`; `body` for the body. */
  readonly name: string;
  /** Where it stands in the condition, in UTF-16 units. */
  readonly offset: number;
}

export interface Outlook {
  /** What the condition is whatever the request; `open` when that depends on it. */
  readonly value: 'true' | 'false' | 'unevaluable' | 'open';
  /** The dead reads that no certain value beside them makes harmless, as `has(params.x) && …` does. */
  readonly dead: readonly DeadRead[];
}

/**
 * What a condition comes to by the rule alone. It follows how CEL evaluates: `false && …` and `true || …` are settled
 * whatever stands on the other side, on either side; every other operator and function needs all its operands.
 */
export function outlookOf(node: ASTNode, rule: RuleView): Outlook {
  const settled = settledBy(node, rule);
  if (settled !== null) return { value: settled ? 'true' : 'false', dead: [] };
  switch (node.op) {
    case '!_':
      return negated(outlookOf(node.args, rule));
    case '&&':
      return joined('false', outlookOf(node.args[0], rule), outlookOf(node.args[1], rule));
    case '||':
      return joined('true', outlookOf(node.args[0], rule), outlookOf(node.args[1], rule));
    case '?:':
      return chosen(node.args, rule);
    case 'rcall':
      return LOOPS.has(node.args[0]) ? walked(node.args[1], node.args[2], rule) : strict(childrenOf(node), rule, []);
    default:
      return strict(partsOf(node), rule, deadReadAt(node, rule));
  }
}

/** A literal, a question about the method, or whether the template has a name. */
function settledBy(node: ASTNode, rule: RuleView): boolean | null {
  if (node.op === 'value') return typeof node.args === 'boolean' ? node.args : null;
  const asked = presenceAsked(node);
  if (asked !== null) return rule.names.has(asked);
  const methods = methodsAsked(node);
  if (methods === null) return null;
  const among = [...rule.methods].filter((method) => methods.has(method)).length;
  if (among !== 0 && among !== rule.methods.size) return null;
  return among > 0 === (node.op !== '!=');
}

/** The name in `has(params.name)` and `"name" in params`. */
function presenceAsked(node: ASTNode): string | null {
  const inner = node.op === 'call' && node.args[0] === 'has' ? node.args[1][0] : node;
  if (inner === undefined || (inner === node && node.op !== 'in')) return null;
  const field = fieldOf(inner);
  return field?.of === 'params' ? field.name : null;
}

/** The methods in `method == "GET"`, `method != "GET"` and `method in ["GET", "HEAD"]`. */
function methodsAsked(node: ASTNode): ReadonlySet<string> | null {
  if (node.op !== '==' && node.op !== '!=' && node.op !== 'in') return null;
  const [left, right] = node.args;
  const other = isMethod(left) ? right : isMethod(right) && node.op !== 'in' ? left : null;
  if (other === null) return null;
  const listed = node.op === 'in' ? (other.op === 'list' ? other.args : null) : [other];
  const texts = listed?.map((one) => (one.op === 'value' ? one.args : null));
  return texts?.every((text) => typeof text === 'string') ? new Set(texts) : null;
}

const isMethod = (node: ASTNode): boolean => node.op === 'id' && node.args === 'method';

function deadReadAt(node: ASTNode, rule: RuleView): DeadRead[] {
  if (node.op === 'id' && node.args === 'body' && !rule.hasBody)
    return [{ of: 'body', name: 'body', offset: node.start }];
  const field = node.op === 'in' ? null : fieldOf(node);
  if (field?.of !== 'params' || rule.names.has(field.name)) return [];
  return [{ of: 'params', name: field.name, offset: Math.max(node.input.indexOf(field.name, node.start + 6), 0) }];
}

/** `has(body.x)` needs `body`, and not its `x`. */
function partsOf(node: ASTNode): readonly ASTNode[] {
  return node.op === 'call' && node.args[0] === 'has' ? node.args[1].flatMap(childrenOf) : childrenOf(node);
}

function strict(parts: readonly ASTNode[], rule: RuleView, own: readonly DeadRead[]): Outlook {
  const outlooks = parts.map((part) => outlookOf(part, rule));
  const fails = own.length > 0 || outlooks.some(({ value }) => value === 'unevaluable');
  return { value: fails ? 'unevaluable' : 'open', dead: [...own, ...outlooks.flatMap(({ dead }) => dead)] };
}

function negated({ value, dead }: Outlook): Outlook {
  return { value: value === 'true' ? 'false' : value === 'false' ? 'true' : value, dead };
}

/** `&&` and `||`: one side of the `decisive` value decides, whatever the other is. */
function joined(decisive: 'true' | 'false', left: Outlook, right: Outlook): Outlook {
  const sides = [left, right];
  if (sides.some(({ value }) => value === decisive)) return { value: decisive, dead: [] };
  const dead = sides.flatMap((side) => side.dead);
  if (sides.some(({ value }) => value === 'open')) return { value: 'open', dead };
  const fails = sides.some(({ value }) => value === 'unevaluable');
  return { value: fails ? 'unevaluable' : decisive === 'true' ? 'false' : 'true', dead };
}

function chosen([asked, yes, no]: readonly [ASTNode, ASTNode, ASTNode], rule: RuleView): Outlook {
  const question = outlookOf(asked, rule);
  if (question.value === 'true') return outlookOf(yes, rule);
  if (question.value === 'false') return outlookOf(no, rule);
  const branches = [outlookOf(yes, rule), outlookOf(no, rule)];
  const fails = question.value === 'unevaluable' || branches.every(({ value }) => value === 'unevaluable');
  return { value: fails ? 'unevaluable' : 'open', dead: [question, ...branches].flatMap(({ dead }) => dead) };
}

/** `all`, `exists` and the like: what they ask of each item is asked of none when the list is empty. */
function walked(list: ASTNode, [, ...steps]: readonly ASTNode[], rule: RuleView): Outlook {
  const receiver = outlookOf(list, rule);
  const outlooks = steps.map((step) => outlookOf(step, rule));
  const surelyAsked = list.op === 'list' && list.args.length > 0;
  const fails = receiver.value === 'unevaluable' || (surelyAsked && outlooks[0]?.value === 'unevaluable');
  return { value: fails ? 'unevaluable' : 'open', dead: [receiver, ...outlooks].flatMap(({ dead }) => dead) };
}
