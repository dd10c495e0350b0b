/**
 * Puts the present text of a file into each code block that names it:
 *
 *     <!-- from examples/quick-start.ts -->
 *     ```ts
 *     ...
 *     ```
 *
 * so that an example in a document is code that is compiled and run. A file may mark the part to show
 * by `// #region shown` and `// #endregion`.
 */
export function embedSnippets(page: string, read: (path: string) => string): string {
  return page.replaceAll(
    /(<!-- from (\S+) -->\n```\w*\n)[\s\S]*?(```)/g,
    (_, open: string, path: string, close: string) => `${open}${shownPart(read(path))}${close}`,
  )
}

function shownPart(text: string): string {
  const [, marked] = /^[ \t]*\/\/ #region shown\n([\s\S]*?)^[ \t]*\/\/ #endregion/m.exec(text) ?? []
  return `${withoutIndent(marked ?? text).trim()}\n`
}

function withoutIndent(text: string): string {
  const indents = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.search(/\S/))
  const depth = Math.min(...indents)
  return text
    .split('\n')
    .map((line) => line.slice(depth))
    .join('\n')
}
