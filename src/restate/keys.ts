/** The key of something that belongs to one row of an object. Ids are encoded without slashes, so keys are unique. */
export function keyOf(what: string, id: string, part: string | number): string {
  return `${what}/${encodeURIComponent(id)}/${part}`
}

/** The kinds of state that a row leaves in its object in addition to itself. */
const belongings: ReadonlySet<string> = new Set(['begun', 'event', 'replay', 'signal', 'lease', 'grants', 'acks'])

/** The encoded id of the row that a key belongs to. `undefined` for any other key. */
export function ownerOfKey(key: string): string | undefined {
  const [what = '', id] = key.split('/')
  return belongings.has(what) ? id : undefined
}
