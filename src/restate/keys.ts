/** Key of what belongs to one row of an object. No id holds a slash here, so that no two things have one key. */
export function keyOf(what: string, id: string, part: string | number): string {
  return `${what}/${encodeURIComponent(id)}/${part}`
}

/** What a row leaves in its object besides itself. */
const belongings: ReadonlySet<string> = new Set(['begun', 'event', 'replay', 'signal', 'lease', 'grants', 'acks'])

/** The row that a key belongs to, encoded, unless it is the key of something else. */
export function ownerOfKey(key: string): string | undefined {
  const [what = '', id] = key.split('/')
  return belongings.has(what) ? id : undefined
}
