import { StatewardError } from '../base/errors.js'

/** A reference to a variable, or to an output of another tool. */
export interface Reference {
  readonly type: 'reference'
  /** As written in the plan, for messages. */
  readonly source: string
  /** The tool whose output it is; absent for a variable. */
  readonly tool?: string
  /** Name of the variable or output. */
  readonly name: string
  /** Used when the value is not set, or empty. */
  readonly fallback?: string
}

/** A text split into plain text and references. */
export type Template = readonly (Reference | { readonly type: 'text'; readonly text: string })[]

/** Provides the values of references. */
export interface Scope {
  variable(name: string): string | undefined
  output(tool: string, name: string): string | undefined
}

/** Longest text after references are replaced, in UTF-16 units: no system accepts longer arguments. */
export const maxExpandedLength = 131_072

/**
 * Raised with code `unset_reference` for a reference without a value and a default, `bad_reference` for a `${` that
 * does not begin a reference, and `expansion_too_long`.
 */
export class TemplateError extends StatewardError<
  'unset_reference' | 'bad_reference' | 'expansion_too_long',
  { readonly source: string }
> {
  override readonly name = 'TemplateError'
}

/** The error for a reference without a value. */
export function unsetReference({ source, tool, name }: Reference): TemplateError {
  const reason = tool === undefined ? `the variable ${name} is not set` : `${tool} has set no output ${name}`
  return new TemplateError('unset_reference', `${reason}, and ${source} has no default`, { source })
}

function badReference(source: string): TemplateError {
  // oxlint-disable-next-line no-template-curly-in-string -- this is how references are written
  const forms = '${NAME}, ${NAME:-default}, ${tool.output} and ${tool.output:-default}'
  const reason = `not a reference: ${source}; known are ${forms}, and $\${ stands for a plain \${`
  return new TemplateError('bad_reference', reason, { source })
}

/** Names of variables and outputs. */
export const variablePattern = /^[A-Za-z_][A-Za-z0-9_]*$/

const opening = /\$?\$\{/g
const reference = /\$\{(?:([A-Za-z0-9][A-Za-z0-9._-]*)\.)?([A-Za-z_][A-Za-z0-9_]*)(?::-((?:(?!\$\{)[^}])*))?\}/y

/** Parses a text. A single `$` without a brace is text, and `$${` is a literal `${`. Raises `bad_reference`. */
export function parseTemplate(source: string): Template {
  const parts: (Template[number] & object)[] = []
  let end = 0
  for (const { 0: mark, index } of source.matchAll(opening)) {
    // Part of the previous reference.
    if (index < end) continue
    if (mark === '$${') {
      parts.push(textPart(source.slice(end, index)), textPart('${'))
      end = index + mark.length
      continue
    }
    reference.lastIndex = index
    const found = reference.exec(source)
    if (found === null) throw badReference(source.slice(index, index + 40))
    const [whole, tool, name = '', fallback] = found
    parts.push(textPart(source.slice(end, index)), {
      type: 'reference',
      source: whole.slice(0, 80),
      name,
      ...(tool !== undefined && { tool }),
      ...(fallback !== undefined && { fallback }),
    })
    end = index + whole.length
  }
  parts.push(textPart(source.slice(end)))
  return parts.filter((part) => part.type === 'reference' || part.text !== '')
}

function textPart(text: string): Template[number] {
  return { type: 'text', text }
}

/** The references of a template. */
export function referencesOf(template: Template): Reference[] {
  return template.filter((part) => part.type === 'reference')
}

/** Replaces the references of a text by their values. Raises `unset_reference` and `expansion_too_long`. */
export function expand(template: Template, scope: Scope): string {
  let text = ''
  for (const part of template) {
    text += part.type === 'text' ? part.text : valueOf(part, scope)
    if (text.length <= maxExpandedLength) continue
    const source = part.type === 'text' ? part.text.slice(0, 40) : part.source
    const reason = `longer than ${maxExpandedLength} characters with the value of ${source}`
    throw new TemplateError('expansion_too_long', reason, { source })
  }
  return text
}

function valueOf(part: Reference, scope: Scope): string {
  const { tool, name, fallback } = part
  const value = tool === undefined ? scope.variable(name) : scope.output(tool, name)
  // As in a shell, a default also replaces an empty value.
  if (fallback !== undefined && (value === undefined || value === '')) return fallback
  if (value === undefined) throw unsetReference(part)
  return value
}
