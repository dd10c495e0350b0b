import { computed, signal } from '@preact/signals'
import { itemTypes, type ItemRef, type ItemType } from '../stream/protocol.js'

/**
 * The current place on the page. It is kept in the hash of the address, so that it can be bookmarked, shared and
 * returned to.
 */
export interface Place {
  /** Name of the screen. */
  readonly screen: string
  /** What the screen shows: the id of a chart or a feed. */
  readonly subject?: string
  readonly item?: ItemRef
  /** Words that listed entries must contain. */
  readonly text: string
  readonly phases: readonly string[]
  readonly types: readonly string[]
  /** Number of the stream entry right after which the state is shown; absent for now. */
  readonly at?: number
}

const hash = signal(location.hash)
addEventListener('hashchange', () => (hash.value = location.hash))

/** The place that the address names. */
export const place = computed(() => parsePlace(hash.value))

/** Parses the hash of an address, ignoring parts that it does not understand. */
export function parsePlace(written: string): Place {
  const [path = '', query = ''] = written.replace(/^#?\/?/, '').split('?')
  const [screen = '', ...rest] = path.split('/').map(decode)
  const fields = new URLSearchParams(query)
  const at = Number(fields.get('at') ?? Number.NaN)
  const item = itemOf(fields.get('type'), fields.get('id'), fields.get('session'))
  return {
    screen: screen === '' ? 'overview' : screen,
    ...(rest[0] !== undefined && rest[0] !== '' && { subject: rest[0] }),
    ...(item !== undefined && { item }),
    text: fields.get('text') ?? '',
    phases: fields.get('phases')?.split(',').filter(Boolean) ?? [],
    types: fields.get('types')?.split(',').filter(Boolean) ?? [],
    ...(Number.isSafeInteger(at) && at > 0 && { at }),
  }
}

/** The address of a place. */
export function hrefOf(to: Partial<Place> & { readonly screen: string }): string {
  const fields = new URLSearchParams()
  if (to.item !== undefined) {
    fields.set('type', to.item.type)
    fields.set('id', to.item.id)
    if (to.item.session !== undefined) fields.set('session', to.item.session)
  }
  if (to.text) fields.set('text', to.text)
  if (to.phases !== undefined && to.phases.length > 0) fields.set('phases', to.phases.join(','))
  if (to.types !== undefined && to.types.length > 0) fields.set('types', to.types.join(','))
  if (to.at !== undefined) fields.set('at', String(to.at))
  const query = fields.size === 0 ? '' : `?${fields.toString()}`
  const subject = to.subject === undefined ? '' : `/${encodeURIComponent(to.subject)}`
  return `#/${encodeURIComponent(to.screen)}${subject}${query}`
}

/** Changes a part of the place without adding to the browser's history. */
export function refine(part: Partial<Place>): void {
  history.replaceState(null, '', hrefOf({ ...place.value, ...part }))
  hash.value = location.hash
}

/** Returns to the present. */
export function goLive(): void {
  const { at: _, ...rest } = place.value
  history.replaceState(null, '', hrefOf(rest))
  hash.value = location.hash
}

/** Goes to a place. */
export function goTo(to: Partial<Place> & { readonly screen: string }): void {
  location.hash = hrefOf(to)
}

function itemOf(type: string | null, id: string | null, session: string | null): ItemRef | undefined {
  if (id === null || !isItemType(type)) return undefined
  return { type, id, ...(session !== null && { session }) }
}

function isItemType(type: string | null): type is ItemType {
  return itemTypes.some((known) => known === type)
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
