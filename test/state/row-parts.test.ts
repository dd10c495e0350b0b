import fc from 'fast-check'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/base/json.js'
import { Catalogue } from '../../src/state/catalogue.js'
import { inParts, withPart } from '../../src/state/row-parts.js'
import { rowDefiner } from '../../src/state/row.js'
import { SequenceCounter } from '../../src/state/sequence.js'
import { EventStream } from '../../src/state/stream.js'
import { Table } from '../../src/state/table.js'

const MiB = 2 ** 20

/** Texts of which three fill a part, now and then more than one part each. */
const texts = fc.array(
  fc.constantFrom(10, MiB / 3 - 100, MiB / 2, MiB + 1).map((length) => 'x'.repeat(length)),
  { maxLength: 7 },
)

describe('a row whose lists are long', () => {
  it('is one row where it fits, untouched', () => {
    const row = { row: 'book', version: 1, lines: ['a', 'b'], notes: [] }
    const parts = inParts(row, ['lines', 'notes'])
    expect(parts).toHaveLength(1)
    expect(parts[0]).toBe(row)
  })

  it('is the same again from its parts, none of which holds more than a record takes', () => {
    const property = fc.property(texts, texts, (lines, notes) => {
      const row: JsonObject = { row: 'book', version: 1, lines, notes }
      const [first, ...parts] = inParts(row, ['lines', 'notes'])
      let grown = first as JsonObject
      for (const part of parts) {
        expect(part['row']).toBe('part')
        grown = withPart(grown, part, ['lines', 'notes']) as JsonObject
      }
      expect(grown).toEqual(row)
      for (const part of [first, ...parts]) {
        const items = ['lines', 'notes', 'items'].flatMap((name) => (part?.[name] ?? []) as readonly string[])
        const units = items.reduce((sum, item) => sum + item.length, 0)
        expect(items.length === 1 || units <= MiB).toBe(true)
      }
    })
    fc.assert(property, { numRuns: 60 })
  })

  it.each([
    ['of a list that it does not have', { row: 'part', list: 'pages', items: [] }],
    ['without items', { row: 'part', list: 'lines' }],
    ['without a list', { row: 'part', items: [] }],
  ])('takes no part %s', (_, part) => {
    expect(withPart({ row: 'book', lines: [] }, part as JsonObject, ['lines'])).toBeUndefined()
  })
})

interface Book {
  readonly title: string
  readonly textLines: readonly string[]
}

function createLibrary() {
  const tables = { sequence: new SequenceCounter(), books: new Table<string, Book>() }
  const bookRow = rowDefiner<typeof tables, undefined>()('book', {
    fields: { title: v.string(), textLines: v.array(v.string()) },
    lists: ['textLines'],
    capture: ({ books }) => books.rows(),
    restore: (draft, book) => draft.put(draft.tables.books, book.title, book),
  })
  const catalogue = new Catalogue<typeof tables, undefined, never, never>({
    subject: 'library',
    events: [],
    rows: [bookRow],
  })
  return { tables, stream: new EventStream({ name: 'library', catalogue, tables, latest: undefined }) }
}

describe('a snapshot with such rows', () => {
  const long = ['a', 'b', 'c'].map((letter) => letter.repeat(MiB - 10))

  function rowsOf(books: readonly Book[]): JsonObject[] {
    const { tables, stream } = createLibrary()
    for (const book of books) tables.books.write(book.title, book).commit()
    tables.sequence.restore(1)
    return [...stream.capture()]
  }

  function restored(rows: readonly JsonObject[]): Book[] {
    const { tables, stream } = createLibrary()
    for (const row of rows) stream.restore(row)
    return [...tables.books.rows()]
  }

  it('counts each once, and gives all back', () => {
    const books = [
      { title: 'long', textLines: long },
      { title: 'short', textLines: ['x'] },
      { title: 'last', textLines: long },
    ]
    const rows = rowsOf(books)
    expect(rows.map(({ row, list }) => [row, list])).toEqual([
      ['header', undefined],
      ['book', undefined],
      ['part', 'text_lines'],
      ['part', 'text_lines'],
      ['book', undefined],
      ['book', undefined],
      ['part', 'text_lines'],
      ['part', 'text_lines'],
      ['end', undefined],
    ])
    expect(rows[0]?.['counts']).toEqual({ book: 3 })
    expect(restored(rows)).toEqual(books)
  })

  it.each([
    ['before its row', 1],
    ['behind the end', 99],
  ])('refuses a part %s', (_, place) => {
    const rows = rowsOf([{ title: 'short', textLines: ['x'] }])
    const strayed = rows.toSpliced(place, 0, { row: 'part', list: 'text_lines', items: ['y'] })
    expect(() => restored(strayed)).toThrow(expect.objectContaining({ code: 'snapshot_incomplete' }))
  })

  it('names the field of a part that has the wrong shape', () => {
    const rows = rowsOf([{ title: 'short', textLines: ['x'] }])
    const broken = rows.toSpliced(2, 0, { row: 'part', list: 'text_lines', items: [7] })
    expect(() => restored(broken)).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ field: 'textLines.1' }) }),
    )
  })
})
