/** What may be asked for. */
type Asks = readonly (() => unknown)[]

/**
 * Asks for one thing after another. Two that are on their way to the engine at a time wait for each other's packets, some forty
 * milliseconds each, where one takes less than one.
 */
export async function inTurn<const Asked extends Asks>(
  ...asks: Asked
): Promise<{ -readonly [Index in keyof Asked]: Awaited<ReturnType<Asked[Index]>> }> {
  const answers: unknown[] = []
  for (const ask of asks) answers.push(await ask())
  return answers as { -readonly [Index in keyof Asked]: Awaited<ReturnType<Asked[Index]>> }
}
