/** One exported name as the compiler declares it. */
export interface ApiDeclaration {
  readonly kind: 'function' | 'class' | 'const' | 'interface' | 'type'
  /** What its doc comment says, as Markdown; empty for none. */
  readonly comment: string
  /** TypeScript without bodies and private members. */
  readonly code: string
}

/** A doc comment, if there is one, then the declaration: every top-level statement begins at the start of a line. */
const statement =
  /^(?:\/\*\*((?:(?!\*\/)[^])*)\*\/\n)?export (?:declare )?(?:abstract )?(function|class|const|interface|type) (\w+)[^]*?(?=^(?:\/\*\*(?:(?!\*\/)[^])*\*\/\n)?(?:export|import|declare|interface|type|const|class) |(?![^]))/gm

/**
 * The exported declarations of a file that the compiler has written; a function has one for each overload. A type made of
 * the values of a list is what the list says of itself.
 */
export function declarationsIn(text: string): Map<string, readonly ApiDeclaration[]> {
  const found = new Map<string, ApiDeclaration[]>()
  for (const [whole, ownComment = '', kind, name = ''] of text.matchAll(statement)) {
    const code = readable(whole.slice(whole.indexOf('export ', ownComment === '' ? 0 : ownComment.length + 5)))
    const [, list = ''] = /= \(typeof (\w+)\)\[number\]$/.exec(code) ?? []
    const comment = ownComment === '' ? (found.get(list)?.[0]?.comment ?? '') : markdownOf(ownComment)
    const declaration = { kind: kind as ApiDeclaration['kind'], comment, code }
    found.set(name, [...(found.get(name) ?? []), declaration])
  }
  return found
}

/** The text of a doc comment without its stars. Names that it links to are code. */
function markdownOf(comment: string): string {
  const lines = comment.split('\n').map((line) => line.replace(/^\s*\*? ?/, ''))
  return withoutLinks(lines.join('\n'), (name) => `\`${name}\``).trim()
}

/** As people here write it: two spaces, no semicolons at the end of lines, nothing that is private. */
function readable(code: string): string {
  const lines = code
    .replace(/^export (declare )?/, '')
    .replaceAll(/import\("[^"]+"\)\./g, '')
    .replaceAll(/^ *\/\*\* @internal[^\n]*\n[^\n]*\n/gm, '')
    .split('\n')
    .filter((line) => !/^\s+(#private;|private )/.test(line))
    .map((line) => line.replace(/^ +/, (indent) => ' '.repeat(indent.length / 2)).replace(/;?\s*$/, ''))
  return withoutLinks(shortened(lines).join('\n').trim(), (name) => name)
}

/** The inferred type of a statechart runs over pages: its diagram says more. */
function shortened(lines: readonly string[]): readonly string[] {
  return lines.length > 20 && lines[0]?.startsWith('const ') ? [`${lines[0].slice(0, 100).trimEnd()} ...`] : lines
}

function withoutLinks(text: string, say: (name: string) => string): string {
  return text.replaceAll(/\{@link ([^}|\s]+)[^}]*\}/g, (_, name: string) => say(name))
}
