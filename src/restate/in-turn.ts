/** The requests, as functions. */
type Asks = readonly (() => unknown)[]

/**
 * Makes requests one after another. Two requests to the engine at the same time delay each other by some forty
 * milliseconds, while one alone takes less than one.
 */
export async function inTurn<const Asked extends Asks>(
  ...asks: Asked
): Promise<{ -readonly [Index in keyof Asked]: Awaited<ReturnType<Asked[Index]>> }> {
  const answers: unknown[] = []
  for (const ask of asks) answers.push(await ask())
  return answers as { -readonly [Index in keyof Asked]: Awaited<ReturnType<Asked[Index]>> }
}
