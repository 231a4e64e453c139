import { describe, expect, it } from 'vitest';
import { checkCondition } from '../../src/policy/conditions.ts';

const fixOf = (text: string): string => {
  const checked = checkCondition(text);
  return checked.ok ? 'nothing is wrong' : checked.error.fix;
};

describe('a condition as another language would have it is refused with what to write', () => {
  it.each([
    ['body.amount =< 5', "write '<='"],
    ['body.amount => 5', "write '>='; a loop takes a comma: list.all(x, x > 1)"],
    ['body.a <> 5', "write '!='"],
    ['body.a = 5', "to compare, write '=='"],
    ['!body.a = 5', "to compare, write '=='"],
    ['body.a === 5', "write '==' or '!=', with two signs"],
    ['body.a !== 5', "write '==' or '!=', with two signs"],
    ['true and false', "write '&&'"],
    ['method in ["GET"] or path == "/"', "write '||'"],
    ['not has(body.x)', "write '!'"],
    ['body.a & true', "write '&&'"],
    ['method == "x" | true', "write '||'"],
    ['method == \u201cGET\u201d', 'write plain quotes: "text"'],
    ['body.a like "x"', 'write .startsWith(…), .endsWith(…), .contains(…) or .matches(…)'],
    ['path contains "x"', 'write it after a dot: path.contains("x")'],
    ['path.match("a")', "did you mean 'matches'?"],
    ['path.startswith("a")', "did you mean 'startsWith'?"],
    ['path.length() > 3', 'write size(path)'],
    ['len(path) > 3', 'write size(path)'],
    ['now < "2026-01-31"', 'write timestamp("2026-01-31T00:00:00Z")'],
    ['body.x in "abc"', 'write a list, x in ["a", "b"], or text.contains(x)'],
    ['size(path) < "3"', 'compare like with like: a number with a number, text with "text"'],
    ['body.a == 5 &&', 'it ends too early: close what is open, or write what is missing'],
    ['(body.a == 5', 'it ends too early: close what is open, or write what is missing'],
    ['body.a == "x', 'it ends too early: close what is open, or write what is missing'],
    ['method == GET', 'text stands in quotes: "GET"'],
    ['headers.x-amz-target == "a"', 'write headers["x-amz-target"]'],
    ['query.x?.y == 1', 'see the CEL language definition and the variables in the policy guide'],
    ['a ==)', 'see the CEL language definition and the variables in the policy guide'],
  ])('%s', (text, fix) => expect(fixOf(text)).toBe(fix));

  it.each(['path == "a and b = c"', 'body.x == "not"', 'body.note.contains("a => b")', 'params.is == "or"'])(
    '%s is right',
    (text) => expect(fixOf(text)).toBe('nothing is wrong'),
  );
});
