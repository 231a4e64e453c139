/** A message's fields by lower-case name, in the order received; what was sent twice is joined (RFC 9110 §5.3). */
export type FieldMap = Map<string, string>;

/** What is read of a message's fields: `Headers` will do, and a {@link FieldMap}. Names in lower case. */
export interface Fields extends Iterable<[string, string]> {
  get(name: string): string | null | undefined;
  has(name: string): boolean;
}

/** Copies the runtime's object in one walk: every call of it costs more than all that is done with the copy. */
export const fieldsOf = (headers: Headers): FieldMap => new Map(headers);

/** Bytes by Content-Length (RFC 9110 §8.6), or null when it is absent or no plain number. */
export function lengthOf(fields: Pick<Fields, 'get'>): number | null {
  const value = fields.get('content-length') ?? '';
  return /^\d{1,15}$/.test(value) ? Number(value) : null;
}

/** For `fetch` and `Response`, which take fields at once quicker than one by one. */
export const recordOf = (fields: FieldMap): Record<string, string> => Object.fromEntries(fields);
