/**
 * What operators mean in a condition. CEL as the library has it calls `5 != "fraudulent"` and `null != "x"` true: a
 * client that sends another type would slip past a rule. Here operands of different types cannot be compared at all,
 * and a condition that cannot be evaluated denies. Numbers compare with numbers of either kind.
 *
 * `loose`: text that came from a place which knows no types (query, path, headers, form bodies) compares with a number
 * when it is that number's plain decimal spelling, and with a bool when it is `true` or `false`.
 */

/** Why a condition has no value. `message` is written from policy text alone, never from the request. */
export class Unevaluable extends Error {}

/**
 * A value that is there but must not be read: a credential, or a whole number that a double does not hold exactly.
 * Of a type that no operator and no function takes, so that whatever reads it is unevaluable.
 */
export class Opaque {}

const mismatch = (a: unknown, b: unknown): Unevaluable =>
  new Unevaluable(`type mismatch: ${kindOf(a)} and ${kindOf(b)} cannot be compared`);

type Kind = 'null' | 'bool' | 'int' | 'double' | 'string' | 'list' | 'map' | 'other';

function kindOf(value: unknown): Kind {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return 'double';
  if (typeof value === 'string') return 'string';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Map || Object.getPrototypeOf(value) === Object.prototype) return 'map';
  return 'other';
}

/** RFC 8259's spelling of a number without exponent: what all readers of a form agree on. */
const DECIMAL = /^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?$/;

function numberOfText(text: string): bigint | number | null {
  if (!DECIMAL.test(text)) return null;
  return text.includes('.') ? Number(text) : BigInt(text);
}

const isNumber = (value: unknown): value is bigint | number =>
  typeof value === 'bigint' || (typeof value === 'number' && !Number.isNaN(value));

/** Unsigned ints are objects of the library; they count as ints. */
function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  const inner: unknown = value.valueOf();
  return typeof inner === 'bigint' ? inner : value;
}

/** Brings two operands to comparable kinds, reading untyped text as what it is compared with. */
function aligned(left: unknown, right: unknown, loose: boolean): [unknown, unknown] {
  const a = plain(left);
  const b = plain(right);
  if (!loose) return [a, b];
  return [readAs(a, b), readAs(b, a)];
}

function readAs(text: unknown, other: unknown): unknown {
  if (typeof text !== 'string') return text;
  if (isNumber(other)) return numberOfText(text) ?? text;
  if (typeof other === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

export function equal(left: unknown, right: unknown, loose: boolean): boolean {
  const [a, b] = aligned(left, right, loose);
  // biome-ignore lint/suspicious/noDoubleEquals: an int and a double of the same value are equal in CEL
  if (isNumber(a) && isNumber(b)) return a == b;
  const kind = kindOf(a);
  if (kind !== kindOf(b)) throw mismatch(a, b);
  switch (kind) {
    case 'bool':
    case 'string':
      return a === b;
    case 'list':
      return equalLists(a as unknown[], b as unknown[], loose);
    case 'other':
      return equalOthers(a, b);
    default:
      // null is compared with the literal `null` only (see cel-rewrite); maps and NaN with nothing.
      throw mismatch(a, b);
  }
}

function equalLists(a: readonly unknown[], b: readonly unknown[], loose: boolean): boolean {
  if (a.length !== b.length) return false;
  return a.every((item, i) => equal(item, b[i], loose));
}

function equalOthers(a: unknown, b: unknown): boolean {
  // All of them are one object, whatever they stand for.
  if (a instanceof Opaque || b instanceof Opaque) throw mismatch(a, b);
  if (a === b) return true;
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime();
  if (a instanceof Uint8Array && b instanceof Uint8Array)
    return a.length === b.length && a.every((byte, i) => byte === b[i]);
  const left: unknown = (a as object).valueOf();
  const right: unknown = (b as object).valueOf();
  if (typeof left === 'number' && typeof right === 'number') return left === right; // durations, in milliseconds
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) throw mismatch(a, b);
  return false;
}

export function lessThan(left: unknown, right: unknown, loose: boolean): boolean {
  const [a, b] = aligned(left, right, loose);
  if (isNumber(a) && isNumber(b)) return a < b;
  // Text against text: in typed places by code units; untyped text might mean numbers to the upstream ("10" < "9").
  if (typeof a === 'string' && typeof b === 'string') {
    if (loose && numberOfText(a) !== null && numberOfText(b) !== null) {
      throw new Unevaluable('untyped text on both sides: say int(…) or double(…)');
    }
    return a < b;
  }
  if (a instanceof Date && b instanceof Date) return a.getTime() < b.getTime();
  if (kindOf(a) === 'other' && kindOf(b) === 'other' && Object.getPrototypeOf(a) === Object.getPrototypeOf(b)) {
    return ((a as object).valueOf() as number) < ((b as object).valueOf() as number);
  }
  throw mismatch(a, b);
}

export function isMember(item: unknown, collection: unknown, loose: boolean): boolean {
  if (collection instanceof Map) {
    if (typeof item !== 'string') throw mismatch(item, '');
    return collection.has(item);
  }
  if (Array.isArray(collection)) {
    let found = false;
    // All are compared, so that one item of another type cannot hide behind an earlier match or miss.
    for (const candidate of collection) if (equal(item, candidate, loose)) found = true;
    return found;
  }
  throw new Unevaluable(`type mismatch: 'in' wants a list or a map, not ${kindOf(collection)}`);
}

/** A list to walk. A map's keys are another thing than a list's items, and the client chooses which one it sends. */
export function listOf(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  throw new Unevaluable(`type mismatch: a list is expected, not ${kindOf(value)}`);
}

/** `has(x.name)`. The library takes a list or a text for a map without fields, and the client chooses what it sends. */
export function hasField(value: unknown, name: string): boolean {
  if (value instanceof Map) return value.has(name);
  if (kindOf(value) === 'map') return Object.hasOwn(value as object, name);
  throw new Unevaluable(`type mismatch: a map is expected, not ${kindOf(value)}`);
}

const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

export function arithmetic(op: '+' | '-' | '*' | '/' | '%', left: unknown, right: unknown, loose: boolean): unknown {
  const [a, b] = aligned(left, right, loose);
  if (typeof a === 'bigint' && typeof b === 'bigint') return integers(op, a, b);
  if (isNumber(a) && isNumber(b) && op !== '%') return doubles(op, Number(a), Number(b));
  if (op === '+') {
    if (typeof a === 'string' && typeof b === 'string') {
      if (loose && numberOfText(a) !== null && numberOfText(b) !== null) {
        throw new Unevaluable('untyped text on both sides of +: say int(…) or double(…)');
      }
      return a + b;
    }
    if (Array.isArray(a) && Array.isArray(b)) return [...a, ...b];
  }
  return times(op, a, b);
}

function integers(op: '+' | '-' | '*' | '/' | '%', a: bigint, b: bigint): bigint {
  if ((op === '/' || op === '%') && b === 0n) throw new Unevaluable('division by zero');
  const value = op === '+' ? a + b : op === '-' ? a - b : op === '*' ? a * b : op === '/' ? a / b : a % b;
  if (value < INT64.min || value > INT64.max) throw new Unevaluable('integer overflow');
  return value;
}

function doubles(op: '+' | '-' | '*' | '/', a: number, b: number): number {
  const value = op === '+' ? a + b : op === '-' ? a - b : op === '*' ? a * b : a / b;
  if (!Number.isFinite(value)) throw new Unevaluable('not a finite number');
  return value;
}

interface DurationLike {
  extendTimestamp(at: Date): Date;
  subtractTimestamp(at: Date): Date;
}
const isDuration = (value: unknown): value is DurationLike =>
  typeof value === 'object' && value !== null && 'extendTimestamp' in value && 'subtractTimestamp' in value;

function times(op: string, a: unknown, b: unknown): unknown {
  if (a instanceof Date && isDuration(b) && op === '+') return b.extendTimestamp(a);
  if (a instanceof Date && isDuration(b) && op === '-') return b.subtractTimestamp(a);
  if (isDuration(a) && b instanceof Date && op === '+') return a.extendTimestamp(b);
  throw new Unevaluable(`type mismatch: ${kindOf(a)} ${op} ${kindOf(b)}`);
}

/** `int(x)`: text only in its plain decimal spelling, of a whole number (the library takes "" for 0 and "0X10" for 16). */
export function toInt(value: unknown): bigint {
  const v = typeof value === 'string' ? numberOfText(value) : plain(value);
  if (typeof v === 'bigint') return v;
  if (typeof v === 'number' && typeof value === 'number' && Number.isSafeInteger(Math.trunc(v)))
    return BigInt(Math.trunc(v));
  if (v instanceof Date) return BigInt(Math.floor(v.getTime() / 1000));
  throw new Unevaluable(`int() of a ${kindOf(value)} that is no number`);
}

export function toDouble(value: unknown): number {
  const v = typeof value === 'string' ? numberOfText(value) : plain(value);
  if (isNumber(v)) return Number(v);
  throw new Unevaluable(`double() of a ${kindOf(value)} that is no number`);
}
