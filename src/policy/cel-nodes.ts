import type { ASTNode } from '@marcbachmann/cel-js';

/** A field of a variable by a fixed name: `params.id`, `params["id"]` or `"id" in params`. */
export interface FieldUse {
  readonly of: string;
  readonly name: string;
}

export function fieldOf(node: ASTNode): FieldUse | null {
  if (node.op === '.' && node.args[0].op === 'id') return { of: node.args[0].args, name: node.args[1] };
  if (
    node.op === '[]' &&
    node.args[0].op === 'id' &&
    node.args[1].op === 'value' &&
    typeof node.args[1].args === 'string'
  ) {
    return { of: node.args[0].args, name: node.args[1].args };
  }
  if (
    node.op === 'in' &&
    node.args[1].op === 'id' &&
    node.args[0].op === 'value' &&
    typeof node.args[0].args === 'string'
  ) {
    return { of: node.args[1].args, name: node.args[0].args };
  }
  return null;
}

/** What a node is made of. */
export function childrenOf(node: ASTNode): readonly ASTNode[] {
  switch (node.op) {
    case 'value':
    case 'id':
      return [];
    case '.':
    case '.?':
      return [node.args[0]];
    case '!_':
    case '-_':
      return [node.args];
    case 'call':
      return node.args[1];
    case 'rcall':
      return [node.args[1], ...node.args[2]];
    case 'map':
      return node.args.flat();
    default:
      return node.args;
  }
}
