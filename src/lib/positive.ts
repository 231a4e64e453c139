/** The number that a setting is written as; `otherwise` when it is absent. One that is no number stops the edge before: see `edgeOf`. */
export function positive(text: string | undefined, otherwise: number): number {
  return isSet(text) && isPositive(text) ? Number(text) : otherwise;
}

/** An empty setting is none. */
export const isSet = (text: string | undefined): text is string => text !== undefined && text !== '';

export const isPositive = (text: string): boolean => Number.isFinite(Number(text)) && Number(text) > 0;
