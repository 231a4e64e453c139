import type { z } from 'zod';
import { formOf, MISSING_FIXES } from './field-forms.ts';
import { closestOf } from './spelling.ts';
import type { Complaint } from './written-leaves.ts';
import type { DocumentPath, PolicyProblem, YamlSource } from './yaml-source.ts';

type Issue = z.core.$ZodIssue;

/** The schema's issues in people's words, each at its place in the file. */
export function problemsOf(issues: readonly Issue[], source: YamlSource, schema: z.ZodType): PolicyProblem[] {
  return withoutEchoes(issues, [], source).flatMap((issue) => problemsOfIssue(issue, issue.path, source, schema));
}

/**
 * One mistake, one problem: a rule that its colon made a field is no field that lacks `match` besides, and a condition that
 * a comma cut in two is not half a condition besides.
 */
function withoutEchoes(issues: readonly Issue[], within: DocumentPath, source: YamlSource): Issue[] {
  const echoes = issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys') return [];
    if (issue.keys.some(isOperation)) return [pathKey([...issue.path, 'match'])];
    const torn = issue.keys.some((key) => isTorn(key, [...within, ...issue.path], source));
    return torn ? ['when', 'match', 'allow'].map((field) => pathKey([...issue.path, field])) : [];
  });
  return issues.filter((issue) => issue.code === 'unrecognized_keys' || !echoes.includes(pathKey(issue.path)));
}

const pathKey = (path: DocumentPath): string => JSON.stringify(path.map(String));
/** No name of a field looks like this: it is the rest of a text after a comma, in a mapping in braces. */
const isOperation = (text: string): boolean => /^(\*|[A-Z|]+) \//.test(text);

function problemsOfIssue(issue: Issue, path: DocumentPath, source: YamlSource, schema: z.ZodType): PolicyProblem[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownField(key, path, source, schema));
  if (issue.code === 'invalid_key') {
    return issue.issues.map((inner) => {
      const [message, fix] =
        inner.code === 'custom' ? [inner.message, complaintOf(inner).fix] : splitWords(inner.message);
      return source.problemAtKey(path, `'${String(path.at(-1))}': ${message}`, fix);
    });
  }
  if (!source.has(path)) return [missingField(path, source)];
  switch (issue.code) {
    case 'custom': {
      const { fix, offset } = complaintOf(issue);
      const [message, spokenFix] = splitWords(issue.message);
      const mend = source.isCut(path) ? CUT_FIX : fix || spokenFix;
      return [source.problemAt(path, message, mend, offset)];
    }
    case 'invalid_type':
      return [wrongKind(issue.expected, path, source)];
    case 'invalid_value': {
      const values = issue.values.map(String);
      const near = closestOf(String(valueAt(source, path)), values);
      return [
        source.problemAt(
          path,
          `${nameOf(path)} is none of ${values.join(', ')}`,
          near ? `did you mean '${near}'?` : `write one of ${values.join(', ')}`,
        ),
      ];
    }
    case 'invalid_union':
      return unionProblems(issue, path, source, schema);
    default: {
      const [message, fix] = splitWords(issue.message);
      return [source.problemAt(path, message, fix)];
    }
  }
}

const CUT_FIX = "put the whole value in quotes: without them ' #' begins a comment";

/** The rest of a text after a comma, in a mapping in braces: no name of a field looks like it, and it has no value. */
function isTorn(key: string, path: DocumentPath, source: YamlSource): boolean {
  return /[^\w.:-]/.test(key) && !isOperation(key) && valueAt(source, [...path, key]) === null;
}

/** Speaks for the branch of a union that the writer meant: the one whose complaint is not about the value's very kind. */
function unionProblems(
  issue: Issue & { code: 'invalid_union' },
  path: DocumentPath,
  source: YamlSource,
  schema: z.ZodType,
): PolicyProblem[] {
  if ('discriminator' in issue && typeof issue.discriminator === 'string') {
    const options = 'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : [];
    const near = closestOf(String(valueAt(source, path)), options);
    return [
      source.problemAt(
        path,
        `${nameOf(path)} is none of ${options.join(', ')}`,
        near ? `did you mean '${near}'?` : `write one of ${options.join(', ')}`,
      ),
    ];
  }
  const isOfKind = (branch: readonly Issue[]): boolean =>
    !branch.some((one) => one.path.length === 0 && (one.code === 'invalid_type' || one.code === 'invalid_value'));
  const meant = issue.errors.find(isOfKind);
  if (meant !== undefined)
    return withoutEchoes(meant, path, source).flatMap((one) =>
      problemsOfIssue(one, [...path, ...one.path], source, schema),
    );
  if (valueAt(source, path) === null) return [emptyField(path, source)];
  const kinds = issue.errors
    .flat()
    .flatMap((one) =>
      one.code === 'invalid_type'
        ? [wordOf(one.expected)]
        : one.code === 'invalid_value'
          ? one.values.map((value) => `'${String(value)}'`)
          : [],
    );
  return [
    source.problemAt(
      path,
      `${nameOf(path)} is neither ${[...new Set(kinds)].join(' nor ')}`,
      formOf(path) ?? 'see the policy guide for its form',
    ),
  ];
}

function wrongKind(expected: string, path: DocumentPath, source: YamlSource): PolicyProblem {
  const value = valueAt(source, path);
  if (value === null) return emptyField(path, source);
  // `allow:GET /x`, without the space, is one text; a capability's name in the place of a list of them is none.
  const fix =
    expected === 'array' && typeof value === 'string' && /^[\w:*.-]{1,60}$/.test(value)
      ? `write a list: [${/^\*/.test(value) ? `'${value}'` : value}]`
      : typeof value === 'string' && /^[a-z_]+:\S/.test(value)
        ? "write a space after the ':'"
        : (formOf(path) ?? `write ${articleOf(expected)}`);
  return source.problemAt(path, `${nameOf(path)} is no ${wordOf(expected)}`, fix);
}

function emptyField(path: DocumentPath, source: YamlSource): PolicyProblem {
  if (path.length === 0) return source.problemAt(path, 'the file is empty', 'write a policy, or remove the file');
  return source.problemAtKey(path, `${nameOf(path)} has no value`, formOf(path) ?? 'write one, or remove the field');
}

function unknownField(key: string, path: DocumentPath, source: YamlSource, schema: z.ZodType): PolicyProblem {
  if (isOperation(key)) {
    return source.problemAtKey(
      [...path, key],
      `'${key}' is a field here, and no operation`,
      `write '- ${key}'; with a condition: { match: ${key}, when: … }`,
    );
  }
  if (isTorn(key, path, source)) {
    return source.problemAtKey(
      [...path, key],
      'within { }, a comma ends a text without quotes',
      'put the whole value before it in quotes',
    );
  }
  const known = fieldsAt(schema, path, source);
  const near = closestOf(key, known);
  const fix =
    near !== null
      ? `did you mean '${near}'?`
      : known.length > 0
        ? `remove it; known here: ${known.join(', ')}`
        : 'remove it';
  return source.problemAtKey([...path, key], `unknown field '${key}'`, fix);
}

function missingField(path: DocumentPath, source: YamlSource): PolicyProblem {
  const field = String(path.at(-1));
  const fix = MISSING_FIXES[field] ?? `add '${field}:'`;
  // At the key that holds the incomplete mapping, where a reader looks for it.
  const holder = path.slice(0, -1);
  const message = `'${field}' is missing`;
  return holder.length > 0 && typeof holder.at(-1) === 'string'
    ? source.problemAtKey(holder, message, fix)
    : source.problemAt(holder, message, fix);
}

interface Definition {
  type: string;
  shape?: Record<string, z.core.$ZodType>;
  innerType?: z.core.$ZodType;
  element?: z.core.$ZodType;
  valueType?: z.core.$ZodType;
  options?: z.core.$ZodType[];
}
const definitionOf = (schema: z.core.$ZodType): Definition => schema._zod.def as unknown as Definition;

/** The fields that a mapping at `path` may have, for "did you mean". */
function fieldsAt(schema: z.core.$ZodType, path: DocumentPath, source: YamlSource): string[] {
  let here: z.core.$ZodType[] = [schema];
  for (const part of path) here = here.flatMap((one) => stepInto(one, part));
  const objects = here.flatMap(objectsIn);
  const scheme = valueAt(source, [...path, 'scheme']);
  const fitting = objects.filter((shape) => {
    const literal = shape['scheme'];
    return literal === undefined || literal._zod.values?.has(scheme as string) !== false;
  });
  return [...new Set((fitting.length > 0 ? fitting : objects).flatMap((shape) => Object.keys(shape)))];
}

function stepInto(schema: z.core.$ZodType, part: PropertyKey): z.core.$ZodType[] {
  const def = definitionOf(schema);
  if (def.innerType) return stepInto(def.innerType, part);
  if (def.options) return def.options.flatMap((option) => stepInto(option, part));
  if (def.type === 'array' && def.element) return [def.element];
  if (def.type === 'record' && def.valueType) return [def.valueType];
  const field = def.shape?.[String(part)];
  return field ? [field] : [];
}

function objectsIn(schema: z.core.$ZodType): Record<string, z.core.$ZodType>[] {
  const def = definitionOf(schema);
  if (def.innerType) return objectsIn(def.innerType);
  if (def.options) return def.options.flatMap(objectsIn);
  return def.shape ? [def.shape] : [];
}

function valueAt(source: YamlSource, path: DocumentPath): unknown {
  let value = source.value;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}

function complaintOf(issue: Issue & { code: 'custom' }): Complaint {
  return { fix: '', ...(issue.params as Partial<Complaint> | undefined) };
}

/** Our own messages are `what is wrong`, a line end, and `how to mend it`. */
function splitWords(message: string): [string, string] {
  const [what = message, fix] = message.split('\n');
  return [what, fix ?? 'see the policy guide for its form'];
}

const nameOf = (path: DocumentPath): string =>
  path.length === 0 ? 'the file' : `'${String(path.findLast((part) => typeof part === 'string') ?? '')}'`;
const WORDS: Readonly<Record<string, string>> = {
  object: 'mapping',
  record: 'mapping',
  array: 'list',
  string: 'text',
  int: 'whole number',
  boolean: 'true or false',
};
const wordOf = (expected: string): string => WORDS[expected] ?? expected;
const articleOf = (expected: string): string =>
  expected === 'boolean'
    ? 'true or false'
    : `a ${wordOf(expected)}${expected === 'string' ? ', in quotes if it looks like a number' : ''}`;
