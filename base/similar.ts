/** "Did you mean …?": the candidate a person most likely meant. */

/** Edit distance that counts a swap of neighbours as one (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  const width = b.length + 1;
  let before: number[] = [];
  let previous = Array.from({ length: width }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j < width; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(
        (previous[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (previous[j - 1] as number) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (before[j - 2] as number) + 1);
      }
      row.push(cost);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length] as number;
}

/**
 * The nearest candidate, or undefined where none is near enough to be worth a guess: a third of
 * the word may differ, at least one letter. The first of equals wins.
 */
export function closest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase();
  let best: { readonly candidate: string; readonly distance: number } | undefined;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > 3) continue;
    const distance = editDistance(wanted, candidate.toLowerCase());
    const most = Math.max(1, Math.floor(Math.max(word.length, candidate.length) / 3));
    // One letter of a one- or two-letter word is no likeness: `a` is not a misspelt `b`.
    if (distance > most || distance >= Math.min(word.length, candidate.length)) continue;
    if (best === undefined || distance < best.distance) best = { candidate, distance };
  }
  return best?.candidate;
}
