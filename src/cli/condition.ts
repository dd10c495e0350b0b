import { expand, type Scope, type Template } from './template.js'

const comparison = / (==|!=) /

/**
 * Evaluates the `if` of a tool: `A == B` and `A != B` compare two texts; anything else is true unless it is empty, `0`
 * or `false`. Only an operator written in the plan counts, never one that comes from a value. Raises `unset_reference`.
 */
export function conditionHolds(template: Template, scope: Scope): boolean {
  for (const [index, part] of template.entries()) {
    const found = part.type === 'text' ? comparison.exec(part.text) : null
    if (part.type !== 'text' || found === null) continue
    const before = { ...part, text: part.text.slice(0, found.index) }
    const behind = { ...part, text: part.text.slice(found.index + found[0].length) }
    const left = expand([...template.slice(0, index), before], scope).trim()
    const right = expand([behind, ...template.slice(index + 1)], scope).trim()
    return (left === right) === (found[1] === '==')
  }
  return !['', '0', 'false'].includes(expand(template, scope).trim().toLowerCase())
}
