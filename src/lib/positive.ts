/** The number that a setting is written as; `otherwise` when it is absent, or no positive number. */
export function positive(text: string | undefined, otherwise: number): number {
  const value = Number(text);
  return text !== undefined && Number.isFinite(value) && value > 0 ? value : otherwise;
}
