import { expect, it } from 'vitest'
import { embedSnippets } from '../../tools/docs/snippets.js'

const page = (code: string): string => `Before\n\n<!-- from examples/a.ts -->\n\`\`\`ts\n${code}\`\`\`\n\nAfter\n`

it('puts the text of the named file into the block and leaves the rest alone', () => {
  const files: Record<string, string> = { 'examples/a.ts': 'const fresh = 1\n' }
  expect(embedSnippets(page('const stale = 0\n'), (path) => files[path] ?? '')).toBe(page('const fresh = 1\n'))
})

it('shows only the marked part, without its indent', () => {
  const file = 'setUp()\n{\n  // #region shown\n  if (ready) {\n    go()\n  }\n\n  // #endregion\n}\n'
  expect(embedSnippets(page(''), () => file)).toBe(page('if (ready) {\n  go()\n}\n'))
})

it('takes dollar signs literally', () => {
  expect(embedSnippets(page(''), () => "const price = '$&$1'\n")).toBe(page("const price = '$&$1'\n"))
})
