import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { documentCodec } from '../../src/state/document.js'

const codec = documentCodec(
  v.strictObject({
    bookId: v.string(),
    loanRows: v.array(v.strictObject({ dueAtMs: v.number() })),
    byReader: v.record(v.string(), v.strictObject({ loanCount: v.number() })),
    returnedTo: v.optional(v.nullable(v.string()), null),
  }),
  'loans',
)

const document = {
  book_id: 'b',
  loan_rows: [{ due_at_ms: 5 }],
  by_reader: { aReader: { loan_count: 1 } },
}

describe('a document', () => {
  it('is spelt in snake case, keys of records as they are', () => {
    const value = { bookId: 'b', loanRows: [{ dueAtMs: 5 }], byReader: { aReader: { loanCount: 1 } } }
    expect(codec.encode(value)).toEqual(document)
    expect(codec.decode(document)).toEqual({ ...value, returnedTo: null })
  })

  it('may say more than is known here, at any depth', () => {
    const more = {
      ...document,
      shelf: 7,
      loan_rows: [{ due_at_ms: 5, fine: { amount: 1 } }],
      by_reader: { aReader: { loan_count: 1, name: 'A' } },
    }
    expect(codec.decode(more)).toEqual(codec.decode(document))
  })

  it.each([
    [{ ...document, book_id: 5 }, 'book_id'],
    [{ ...document, loan_rows: [{ due_at_ms: '5' }] }, 'loan_rows.0.due_at_ms'],
    [{ ...document, by_reader: { aReader: {} } }, 'by_reader.aReader.loan_count'],
    [{ ...document, book_id: undefined }, 'book_id'],
    [null, '$'],
  ])('is refused with the field as it spells it: %j', (input, field) => {
    expect(() => codec.decode(input)).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ subject: 'loans', field }) }),
    )
  })
})
