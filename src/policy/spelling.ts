/** The known word nearest to a misspelt one, or null when none is near enough to suggest. */
export function closestOf(word: string, known: Iterable<string>): string | null {
  let best: string | null = null;
  let bestDistance = bearable(word.length) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase(), bestDistance);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Of a short word so many letters may differ that it is another word: `foo` means no `now`, and `x` no `y`. */
function bearable(length: number): number {
  if (length < 4) return length === 1 ? 0 : 1;
  return Math.max(2, Math.floor(length / 3));
}

/** Levenshtein distance, or `bound` when it is at least that. */
function editDistance(a: string, b: string, bound: number): number {
  if (Math.abs(a.length - b.length) >= bound) return bound;
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      row.push(Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + cost));
    }
    previous = row;
  }
  return previous[b.length] ?? bound;
}
