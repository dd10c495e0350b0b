import type { EntryRing } from '../stream/entry-ring.js'
import type { EntriesRequest, EntriesView, StreamEntry } from '../stream/protocol.js'

/** The held entries that a request is about. */
export function searchEntries(
  ring: EntryRing,
  { after, before, limit = 100, actor, item, text }: EntriesRequest,
): EntriesView {
  const { oldest, newest } = ring
  const words = wordsIn(text)
  const found: StreamEntry[] = []
  const take = (n: number): void => {
    const [entry, json] = [ring.entry(n), ring.text(n)]
    if (entry === undefined || json === undefined) return
    if (isAbout(entry, actor, item?.id) && hasWords(json, words)) found.push(entry)
  }
  if (after !== undefined) {
    const last = Math.min(newest, before === undefined ? newest : before - 1)
    for (let n = Math.max(oldest, after + 1); n <= last && found.length < limit; n += 1) take(n)
  } else {
    const last = before === undefined ? newest : before - 1
    for (let n = Math.min(newest, last); n >= oldest && found.length < limit; n -= 1) take(n)
    found.reverse()
  }
  return { view: 'entries', entries: found, oldest, newest }
}

/** The words to search for, in lower case. */
export function wordsIn(text: string | undefined): readonly string[] {
  return (text ?? '').toLowerCase().split(/\s+/).filter(Boolean)
}

/** Whether all words occur in a text, ignoring case. */
export function hasWords(text: string, words: readonly string[]): boolean {
  if (words.length === 0) return true
  const searched = text.toLowerCase()
  return words.every((word) => searched.includes(word))
}

/** Whether an entry is about this actor and this item, if given. */
export function isAbout(entry: StreamEntry, actor: string | undefined, item: string | undefined): boolean {
  if (actor !== undefined) {
    const isIts = 'actor' in entry && (entry.actor === actor || ('source' in entry && entry.source === actor))
    if (!isIts) return false
  }
  if (item === undefined) return true
  if (entry.type === 'fact') return entry.items.some(({ id }) => id === item)
  if (entry.type === 'row') return entry.row.id === item
  if (entry.type === 'part') return false
  return entry.type === 'actor' ? entry.item?.id === item : true
}
