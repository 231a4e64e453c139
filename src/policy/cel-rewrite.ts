import type { ASTNode } from '@marcbachmann/cel-js';

/**
 * Prints a parsed condition with its operators replaced by calls of what `cel-meaning.ts` has, every sub-expression in
 * parentheses, so that the library evaluates our stricter meaning. Logic, macros and string functions stay its own.
 */
export function rewritten(node: ASTNode): string {
  switch (node.op) {
    case 'value':
      return node.input.slice(node.start, node.end);
    case 'id':
      return node.args;
    case '==':
      return equality(node.args[0], node.args[1]);
    case '!=':
      return `!${equality(node.args[0], node.args[1])}`;
    case '<':
      return call('strict_lt', node.args[0], node.args[1]);
    case '>':
      return call('strict_lt', node.args[1], node.args[0]);
    case '<=':
      return call('strict_le', node.args[0], node.args[1]);
    case '>=':
      return call('strict_le', node.args[1], node.args[0]);
    case 'in':
      return call('strict_in', node.args[0], node.args[1]);
    case '+':
      return call('strict_add', node.args[0], node.args[1]);
    case '-':
      return call('strict_sub', node.args[0], node.args[1]);
    case '*':
      return call('strict_mul', node.args[0], node.args[1]);
    case '/':
      return call('strict_div', node.args[0], node.args[1]);
    case '%':
      return call('strict_mod', node.args[0], node.args[1]);
    case '&&':
    case '||':
      return `(${rewritten(node.args[0])} ${node.op} ${rewritten(node.args[1])})`;
    case '!_':
      return `!(${rewritten(node.args)})`;
    case '-_':
      return `-(${rewritten(node.args)})`;
    case '?:':
      return `(${rewritten(node.args[0])} ? ${rewritten(node.args[1])} : ${rewritten(node.args[2])})`;
    case '.':
      return `${operand(node.args[0])}.${node.args[1]}`;
    case '[]':
      return `${operand(node.args[0])}[${rewritten(node.args[1])}]`;
    case 'list':
      return `[${node.args.map(rewritten).join(', ')}]`;
    case 'map':
      return `{${node.args.map(([key, value]) => `${rewritten(key)}: ${rewritten(value)}`).join(', ')}}`;
    case 'call':
      if (node.args[0] === 'has') return presence(node.args[1]);
      return `${STRICT_CASTS.get(node.args[0]) ?? node.args[0]}(${node.args[1].map(rewritten).join(', ')})`;
    case 'rcall':
      return receiverCall(node.args[0], node.args[1], node.args[2]);
    default:
      throw new Error(`the condition uses '${node.op}', to which no meaning was given here`);
  }
}

const STRICT_CASTS: ReadonlyMap<string, string> = new Map([
  ['int', 'strict_int'],
  ['double', 'strict_double'],
]);

/** Macros that walk a collection: their first argument names the loop variable. */
export const LOOPS: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

/** Variables whose text has no type of its own. */
const UNTYPED: ReadonlySet<string> = new Set(['query', 'params', 'headers']);

function receiverCall(name: string, receiver: ASTNode, args: readonly ASTNode[]): string {
  const printed = args.map(rewritten).join(', ');
  // A variable's own keys may be walked (`query.all(k, …)`); below that, only lists: see `listOf`.
  const list = LOOPS.has(name) && receiver.op !== 'id' && receiver.op !== 'list' && receiver.op !== 'rcall';
  return list ? `strict_list(${rewritten(receiver)}).${name}(${printed})` : `${operand(receiver)}.${name}(${printed})`;
}

function presence(args: readonly ASTNode[]): string {
  const [field] = args;
  return field?.op === '.'
    ? `strict_has(${rewritten(field.args[0])}, ${JSON.stringify(field.args[1])})`
    : `has(${args.map(rewritten).join(', ')})`;
}

function operand(node: ASTNode): string {
  return node.op === 'id' || node.op === '.' || node.op === '[]' || node.op === 'call' || node.op === 'rcall'
    ? rewritten(node)
    : `(${rewritten(node)})`;
}

function equality(left: ASTNode, right: ASTNode): string {
  if (isNull(left)) return `strict_null(${rewritten(right)})`;
  if (isNull(right)) return `strict_null(${rewritten(left)})`;
  return call('strict_eq', left, right);
}

const isNull = (node: ASTNode): boolean => node.op === 'value' && node.args === null;

function call(name: string, left: ASTNode, right: ASTNode): string {
  const loose = UNTYPED.has(rootOf(left) ?? '') || UNTYPED.has(rootOf(right) ?? '') ? 'true' : 'body_is_form';
  return `${name}(${rewritten(left)}, ${rewritten(right)}, ${loose})`;
}

/** The variable that an access path begins at: `query` for `query["a"]`. */
function rootOf(node: ASTNode): string | null {
  if (node.op === 'id') return node.args;
  return node.op === '.' || node.op === '[]' ? rootOf(node.args[0]) : null;
}
