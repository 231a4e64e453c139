const MAX_KNOWN = 1_000;
const MAX_KNOWN_LENGTH = 64;

/**
 * A rule about names of fields that is asked for each name once and remembered: the same few come with every call. Names are
 * the other side's to choose, so that the memory of them is bounded.
 */
export function remembered(rule: (name: string) => boolean): (name: string) => boolean {
  const known = new Map<string, boolean>();
  return (name) => {
    let answer = known.get(name);
    if (answer === undefined) {
      answer = rule(name);
      if (known.size >= MAX_KNOWN) known.clear();
      if (name.length <= MAX_KNOWN_LENGTH) known.set(name, answer);
    }
    return answer;
  };
}
