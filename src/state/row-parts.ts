import type { JsonObject, JsonValue } from '../base/json.js'

/** The kind of row that continues the row before it. */
export const partKind = 'part'

/** UTF-16 units of listed items that one row holds, roughly: what one record takes, with room to spare. */
const mostUnits = 2 ** 20

/**
 * A row of a snapshot, with the items of its lists that find no room in it in rows that follow.
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
    // What follows a part must not stand before it.
    room = 0
  }
  return parts.length === 0 ? [row] : [first, ...parts]
}

/** A stored row with a part that follows it; `undefined` when it has no such list. */
export function withPart(row: JsonObject, part: JsonObject, lists: readonly string[]): JsonObject | undefined {
  const { list, items } = part
  if (typeof list !== 'string' || !lists.includes(list) || !Array.isArray(items)) return undefined
  const before = row[list]
  return Array.isArray(before) ? { ...row, [list]: [...(before as readonly JsonValue[]), ...items] } : undefined
}

/** Items in groups of which each takes what one record takes, or is a single item that takes more. */
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

/** About how long a value is as JSON text. */
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
