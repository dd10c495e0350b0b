import { computed, signal } from '@preact/signals'
import { itemTypes, type ItemRef, type ItemType } from '../stream/protocol.js'

/** Where somebody is on the page. It stands behind the # of the address, so it can be kept, sent and gone back from. */
export interface Place {
  /** Name of the screen. */
  readonly screen: string
  /** What of it: the id of a chart, of a feed. */
  readonly subject?: string
  readonly item?: ItemRef
  /** Words that what is listed must contain. */
  readonly text: string
  readonly phases: readonly string[]
  readonly types: readonly string[]
  /** What is shown is as it was right after this entry of the stream. */
  readonly at?: number
}

const hash = signal(location.hash)
addEventListener('hashchange', () => (hash.value = location.hash))

/** Where the address says that somebody is. */
export const place = computed(() => parsePlace(hash.value))

/** Reads what stands behind the #; what it does not understand counts as not being there. */
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

/** Changes a part of the place, without a step back to what was before. */
export function refine(part: Partial<Place>): void {
  history.replaceState(null, '', hrefOf({ ...place.value, ...part }))
  hash.value = location.hash
}

/** Goes back to now. */
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
