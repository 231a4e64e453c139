/** The place after which a list goes on, as a client gets it and sends it back: base64 of a JSON array, without padding. */
export const cursorOf = (place: readonly (string | number)[]): string =>
  btoa(JSON.stringify(place)).replaceAll('=', '');

/** What {@link cursorOf} was given, to be checked by whoever asks; empty when the text is no cursor. */
export function placeOf(cursor: string): readonly unknown[] {
  try {
    const place: unknown = JSON.parse(atob(cursor));
    return Array.isArray(place) ? place : [];
  } catch {
    return [];
  }
}

/** The refusal of a cursor. */
export const NO_CURSOR = 'The cursor is not one that this list gave.';
