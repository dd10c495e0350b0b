import type { JsonObject, JsonValue } from '../base/json.js'

/** The kind of row that continues the previous row. */
export const partKind = 'part'

/** Approximate limit of the list items in one row, in UTF-16 units. Well below the limit of a record. */
const mostUnits = 2 ** 20

/**
 * Splits a row of a snapshot: list items that exceed its size follow in further rows.
 *
 *     { row: 'run', history: [...], attempts: [] }
 *     { row: 'part', list: 'history', items: [...] }
 *     { row: 'part', list: 'attempts', items: [...] }
 */
export function inParts(row: JsonObject, lists: readonly string[]): readonly JsonObject[] {
  let room = mostUnits
  let first = row
  const parts: JsonObject[] = []
  for (const list of lists) {
    const items = (row[list] ?? []) as readonly JsonValue[]
    const cuts: number[] = []
    for (const [index, item] of items.entries()) {
      const units = unitsOf(item)
      if (units > room) {
        cuts.push(index)
        room = mostUnits
      }
      room -= units
    }
    if (cuts.length === 0) continue
    first = { ...first, [list]: items.slice(0, cuts[0]) }
    for (const [place, from] of cuts.entries()) {
      parts.push({ row: partKind, list, items: items.slice(from, cuts[place + 1]) })
    }
    // Items after a part must not be in the first row.
    room = 0
  }
  return parts.length === 0 ? [row] : [first, ...parts]
}

/** Joins a stored row with a part that follows it. `undefined` if the row has no such list. */
export function withPart(row: JsonObject, part: JsonObject, lists: readonly string[]): JsonObject | undefined {
  const { list, items } = part
  if (typeof list !== 'string' || !lists.includes(list) || !Array.isArray(items)) return undefined
  const before = row[list]
  return Array.isArray(before) ? { ...row, [list]: [...(before as readonly JsonValue[]), ...items] } : undefined
}

/** Splits items into groups that each fit one record. An item that is too large for that is a group by itself. */
export function inGroups(items: readonly JsonValue[]): readonly (readonly JsonValue[])[] {
  const groups: JsonValue[][] = []
  let room = 0
  for (const item of items) {
    const units = unitsOf(item)
    const group = groups.at(-1)
    if (group === undefined || units > room) {
      groups.push([item])
      room = mostUnits - units
    } else {
      group.push(item)
      room -= units
    }
  }
  return groups
}

/** Approximate length of a value as JSON text, in UTF-16 units. */
function unitsOf(value: JsonValue | undefined): number {
  if (typeof value === 'string') return value.length + 2
  if (typeof value !== 'object' || value === null) return 8
  let units = 2
  if (Array.isArray(value)) {
    for (const item of value as readonly JsonValue[]) units += unitsOf(item) + 1
  } else {
    for (const [key, part] of Object.entries(value as JsonObject)) units += key.length + 4 + unitsOf(part)
  }
  return units
}
