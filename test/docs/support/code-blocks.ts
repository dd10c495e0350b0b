/**
 * The code blocks of a page in TypeScript that stand in no file of their own, each as a module.
 *
 * A block that goes on from what its page has said before is given the missing names by a comment above it, which no reader of
 * the page sees:
 *
 *     <!-- given
 *     declare const signal: AbortSignal
 *     -->
 *     ```ts
 *     await handle.result({ signal })
 *     ```
 *
 * Every line of a module has the number that it has in the page, so that what a compiler finds can be looked up there.
 */
export function codeBlocksOf(page: string): readonly string[] {
  const blocks = page.matchAll(/^(?:<!-- given\n([^]*?)^-->\n+)?(?<!<!-- from \S+ -->\n)```ts\n([^]*?)^```$/gm)
  return Array.from(blocks, ({ 0: block, 1: given = '', 2: code = '', index }) => {
    const line = linesIn(page.slice(0, index))
    const above = given === '' ? '' : `\n${given}`
    const gap = linesIn(block) - linesIn(above) - linesIn(code)
    return `${'\n'.repeat(line)}${above}${'\n'.repeat(gap)}${code}export {}\n`
  })
}

const linesIn = (text: string): number => text.split('\n').length - 1
