import { type ASTNode, Environment, type ParseResult } from '@marcbachmann/cel-js';
import { err, ok, type Result } from '../lib/result.ts';
import {
  arithmetic,
  equal,
  hasField,
  isMember,
  lessThan,
  listOf,
  Opaque,
  toDouble,
  toInt,
  Unevaluable,
} from './cel-meaning.ts';
import { childrenOf, fieldOf } from './cel-nodes.ts';
import { LOOPS, rewritten } from './cel-rewrite.ts';
import { mendOfCel, mendOfName } from './cel-slips.ts';
import { type Facts, isCredentialField } from './facts.ts';
import { problemOfPattern } from './pattern.ts';
import { closestOf } from './spelling.ts';

const VARIABLES = ['method', 'path', 'params', 'query', 'headers', 'body', 'agent', 'session', 'now'] as const;
export type VariableName = (typeof VARIABLES)[number];

/** What is wrong with a condition as written. `offset` counts UTF-16 units from the expression's start. */
export interface ConditionProblem {
  readonly message: string;
  readonly fix: string;
  readonly offset: number;
}

/** A condition ready to evaluate: CEL, compiled once. */
export interface Condition {
  readonly text: string;
  readonly reads: ReadonlySet<VariableName>;
  readonly needsBody: boolean;
  /**
   * @returns Whether it holds; or why that cannot be told (a missing field, null, another type, no bool), in words made
   *          of policy text and type names only.
   */
  evaluate(facts: Facts): Result<boolean, string>;
}

const LIMITS = { maxAstNodes: 500, maxDepth: 40, maxListElements: 200, maxMapEntries: 50, maxCallArguments: 8 };

function environment(): Environment {
  return new Environment({ homogeneousAggregateLiterals: true, limits: LIMITS })
    .registerVariable('method', 'string')
    .registerVariable('path', 'string')
    .registerVariable('params', 'map<string, dyn>')
    .registerVariable('query', 'map<string, dyn>')
    .registerVariable('headers', 'map<string, dyn>')
    .registerVariable('body', 'dyn')
    .registerVariable('agent', 'string')
    .registerVariable('session', 'dyn')
    .registerVariable('now', 'google.protobuf.Timestamp');
}

/** For checking what people write: the library's own types and positions, and none of the names below. */
const written = environment();

/** For evaluating what {@link rewritten} printed. */
const strict = environment().registerVariable('body_is_form', 'bool').registerType('Opaque', Opaque);
{
  const f = (signature: string, handler: (...args: never[]) => unknown): void => {
    strict.registerFunction(signature, handler, { async: false });
  };
  f('strict_eq(dyn, dyn, bool): bool', equal);
  f('strict_lt(dyn, dyn, bool): bool', lessThan);
  f(
    'strict_le(dyn, dyn, bool): bool',
    (a: unknown, b: unknown, loose: boolean) => lessThan(a, b, loose) || equal(a, b, loose),
  );
  f('strict_in(dyn, dyn, bool): bool', isMember);
  f('strict_null(dyn): bool', (a: unknown) => a === null);
  f('strict_list(dyn): list<dyn>', listOf);
  f('strict_has(dyn, string): bool', hasField);
  f('strict_int(dyn): int', toInt);
  f('strict_double(dyn): double', toDouble);
  for (const [name, op] of [
    ['add', '+'],
    ['sub', '-'],
    ['mul', '*'],
    ['div', '/'],
    ['mod', '%'],
  ] as const) {
    f(`strict_${name}(dyn, dyn, bool): dyn`, (a: unknown, b: unknown, loose: boolean) => arithmetic(op, a, b, loose));
  }
}

const compiled = new Map<string, Condition>();

/**
 * The condition of an expression that `checkCondition` has passed at build time, compiled at its first use in this
 * isolate. One that does not compile can never be evaluated, and so denies.
 */
export function conditionOf(text: string): Condition {
  const known = compiled.get(text);
  if (known !== undefined) return known;
  const checked = checkCondition(text);
  const condition = checked.ok ? checked.value : brokenCondition(text, checked.error.message);
  compiled.set(text, condition);
  return condition;
}

function brokenCondition(text: string, why: string): Condition {
  return {
    text,
    reads: new Set(VARIABLES),
    needsBody: true,
    evaluate: () => err(`does not compile: ${why}`),
  };
}

/** Parses, type-checks and compiles a condition as written. All that is wrong with it is found here, at build time. */
export function checkCondition(text: string): Result<Condition, ConditionProblem> {
  if (text.trim() === '')
    return err({ message: 'the condition is empty', fix: 'write a CEL expression, or remove it', offset: 0 });
  if (text.length > 4000)
    return err({ message: 'the condition is longer than 4,000 characters', fix: 'split it into rules', offset: 0 });
  let parsed: ParseResult;
  try {
    parsed = written.parse(text);
  } catch (error) {
    return err(problemOfCel(text, error));
  }
  const uses = usesOf(parsed.ast);
  if (uses.problem !== null) return err(uses.problem);
  const types = parsed.check();
  if (!types.valid) return err(problemOfCel(text, types.error));
  if (types.type !== 'bool' && types.type !== 'dyn') {
    return err({
      message: `the condition is a ${types.type}, not a bool`,
      fix: 'compare it with something',
      offset: 0,
    });
  }
  const run = strict.parse(rewritten(written.parse(text).ast));
  const evaluable = run.check();
  if (!evaluable.valid) return err({ ...problemOfCel(text, evaluable.error), offset: 0 });
  return ok({
    text,
    reads: uses.reads,
    needsBody: uses.reads.has('body'),
    evaluate: (facts) => evaluated(run, facts),
  });
}

/** A condition's syntax tree, for looking at it before any request; null when it is not right. */
export function syntaxOf(text: string): ASTNode | null {
  return checkCondition(text).ok ? written.parse(text).ast : null;
}

function evaluated(run: ParseResult, facts: Facts): Result<boolean, string> {
  try {
    const value: unknown = run(facts.context());
    return typeof value === 'boolean' ? ok(value) : err('the result is no bool');
  } catch (error) {
    return err(whyOf(error));
  }
}

/** Names the error by its code and, where it is policy text, the field; never by the library's text, which quotes values. */
function whyOf(error: unknown): string {
  if (error instanceof Unevaluable) return error.message;
  const cel = error as { code?: unknown; node?: { op?: string; args?: unknown } };
  const code = typeof cel.code === 'string' ? cel.code.replaceAll('_', ' ') : 'evaluation failed';
  const args = cel.node?.args;
  if (cel.node?.op === '.' && Array.isArray(args) && typeof args[1] === 'string') return `${code}: ${args[1]}`;
  if (cel.node?.op === 'id' && typeof args === 'string') return `${code}: ${args}`;
  return code;
}

interface Uses {
  readonly reads: Set<VariableName>;
  problem: ConditionProblem | null;
}

function usesOf(ast: ASTNode): Uses {
  const uses: Uses = { reads: new Set(), problem: null };
  visit(ast, uses);
  return uses;
}

function visit(node: ASTNode, uses: Uses): void {
  if (node.op === 'id' && (VARIABLES as readonly string[]).includes(node.args))
    uses.reads.add(node.args as VariableName);
  const field = fieldOf(node);
  if (field !== null && field.of === 'headers')
    uses.problem ??= headerProblem(field.name, node.op === 'in', node.start);
  if (node.op === 'rcall') {
    const [name, receiver, args] = node.args;
    const variable = args[0];
    if (LOOPS.has(name) && variable?.op === 'id' && (VARIABLES as readonly string[]).includes(variable.args)) {
      uses.problem ??= {
        message: `the loop variable hides '${variable.args}'`,
        fix: 'give it another name',
        offset: variable.start,
      };
    }
    if (name === 'matches' && args[0]?.op === 'value') uses.problem ??= patternProblem(args[0].args, args[0].start);
    if (receiver.op === 'id' && receiver.args === 'cel') {
      uses.problem ??= {
        message: "'cel.' functions are not available",
        fix: 'write the expression out',
        offset: receiver.start,
      };
    }
  }
  for (const child of childrenOf(node)) visit(child, uses);
}

function headerProblem(name: string, presence: boolean, offset: number): ConditionProblem | null {
  if (name !== name.toLowerCase())
    return { message: `header names are lower case here`, fix: `write "${name.toLowerCase()}"`, offset };
  if (!presence && isCredentialField(name)) {
    return {
      message: `the header '${name}' may carry a credential: its value is hidden`,
      fix: `ask only whether it is there: "${name}" in headers`,
      offset,
    };
  }
  return null;
}

function patternProblem(pattern: unknown, offset: number): ConditionProblem | null {
  const problem = problemOfPattern(String(pattern));
  return problem === null ? null : { ...problem, offset };
}

function problemOfCel(text: string, error: unknown): ConditionProblem {
  const cel = error as { code?: string; summary?: string; range?: { start: number }; node?: { start?: number } };
  const message = cel.summary ?? 'the condition does not compile';
  const offset = cel.range?.start ?? cel.node?.start ?? 0;
  const unknown = /^Unknown variable: (.+)$/.exec(message)?.[1];
  if (unknown !== undefined) {
    const near = closestOf(unknown, VARIABLES);
    return {
      message: `unknown variable '${unknown}'`,
      fix: mendOfName(text, unknown, offset) ?? (near ? `did you mean '${near}'?` : `use ${VARIABLES.join(', ')}`),
      offset,
    };
  }
  const fix =
    mendOfCel(text, message, offset) ?? 'see the CEL language definition and the variables in the policy guide';
  return { message, fix, offset };
}
