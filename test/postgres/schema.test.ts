import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  openSchema,
  PostgresDatabase,
  schemaScript,
  type SchemaDefinition,
  type StoreErrorData,
} from '../../src/postgres/index.js'
import { usePostgres } from '../support/postgres-server.js'
import { rejectionOf } from './support/rejection.js'

const library: SchemaDefinition = {
  part: 'library',
  version: 3,
  tables: {
    books: {
      columns: {
        id: { type: 'text', collation: 'C' },
        title: { type: 'text', isNullable: true },
        copies: { type: 'bigint' },
      },
      constraints: { books_pkey: 'PRIMARY KEY (id)' },
      indexes: {
        books_lent: { definition: 'USING btree (id) WHERE (copies = 0)' },
        books_titles: { isUnique: true, definition: 'USING btree (title, id)' },
      },
    },
    loans: {
      columns: { book: { type: 'text', collation: 'C' }, reader: { type: 'text' } },
      constraints: {
        loans_pkey: 'PRIMARY KEY (book, reader)',
        loans_book_fkey: 'FOREIGN KEY (book) REFERENCES {schema}.books(id) ON DELETE CASCADE',
      },
    },
  },
}

const schema = 'schema_test'
let server: Awaited<ReturnType<typeof usePostgres>>
let database: PostgresDatabase

const script = (text: string): Promise<void> => database.transaction((transaction) => transaction.script(text))
const open = (create: boolean, definition = library): Promise<{ readonly storeId: string }> =>
  openSchema(database, definition, { schema, create })

async function expectAsNeeded(): Promise<void> {
  await expect(open(false)).resolves.toMatchObject({ storeId: expect.any(String) })
}

async function differencesOf(definition = library): Promise<readonly string[]> {
  const refused = await rejectionOf(open(true, definition))
  expect(refused).toMatchObject({ code: 'store.schema_mismatch', data: { schema, part: 'library' } })
  return (refused as { readonly data: StoreErrorData['store.schema_mismatch'] }).data.differences
}

beforeAll(async () => {
  server = await usePostgres()
  database = await PostgresDatabase.open({ url: server.url })
})

afterAll(async () => {
  await database?.close()
  await server?.[Symbol.asyncDispose]()
})

beforeEach(() => script(`DROP SCHEMA IF EXISTS ${schema} CASCADE`))

describe('tables', () => {
  it('are made once, by however many at once, and are then as they must be', async () => {
    for (let round = 0; round < 5; round += 1) {
      await script(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
      await Promise.all(Array.from({ length: 8 }, () => open(true)))
    }
    await expectAsNeeded()
  })

  it('are not made when nobody asked for it, and can be made by running their script, again and again', async () => {
    const refused = await rejectionOf(open(false))
    expect(refused).toMatchObject({ code: 'store.schema_mismatch', data: { differences: ['they are not there'] } })
    await script(schemaScript(library, schema))
    await script(schemaScript(library, schema))
    await expectAsNeeded()
  })

  it('are found whatever the search path of a connection is', async () => {
    await open(true)
    const url = new URL(server.url)
    url.searchParams.set('options', `-c search_path=${schema}`)
    await using other = await PostgresDatabase.open({ url: url.href })
    await expect(openSchema(other, library, { schema, create: false })).resolves.toMatchObject({
      storeId: expect.any(String),
    })
  })

  it('may have more than they must', async () => {
    await open(true)
    await script(`ALTER TABLE ${schema}.books ADD COLUMN shelf text; CREATE INDEX mine ON ${schema}.books (shelf)`)
    await expectAsNeeded()
  })

  it.each([
    [
      'a column that is gone',
      'ALTER TABLE books DROP COLUMN copies CASCADE',
      ['column books.copies is missing', 'index books.books_lent is missing'],
    ],
    [
      'another type',
      'DROP INDEX books_lent; ALTER TABLE books ALTER copies TYPE integer; CREATE INDEX books_lent ON books (id) WHERE copies = 0',
      ['column books.copies is integer NOT NULL, needed is bigint NOT NULL'],
    ],
    [
      'a column that may be null',
      'ALTER TABLE books ALTER copies DROP NOT NULL',
      ['column books.copies is bigint, needed is bigint NOT NULL'],
    ],
    [
      'another order of text',
      'ALTER TABLE loans DROP CONSTRAINT loans_book_fkey; ALTER TABLE loans ALTER book TYPE text COLLATE "en-x-icu"; ALTER TABLE loans ADD CONSTRAINT loans_book_fkey FOREIGN KEY (book) REFERENCES books(id) ON DELETE CASCADE',
      ['column loans.book is text COLLATE en-x-icu NOT NULL, needed is text COLLATE C NOT NULL'],
    ],
    [
      'a cascade that is gone',
      'ALTER TABLE loans DROP CONSTRAINT loans_book_fkey; ALTER TABLE loans ADD CONSTRAINT loans_book_fkey FOREIGN KEY (book) REFERENCES books(id)',
      [
        'constraint loans.loans_book_fkey is FOREIGN KEY (book) REFERENCES schema_test.books(id), needed is FOREIGN KEY (book) REFERENCES schema_test.books(id) ON DELETE CASCADE',
      ],
    ],
    [
      'a constraint that is gone',
      'ALTER TABLE loans DROP CONSTRAINT loans_pkey',
      ['constraint loans.loans_pkey is missing'],
    ],
    ['an index that is gone', 'DROP INDEX books_lent', ['index books.books_lent is missing']],
    [
      'an index that is not unique',
      'DROP INDEX books_titles; CREATE INDEX books_titles ON books (title, id)',
      [
        'index books.books_titles is CREATE INDEX books_titles ON schema_test.books USING btree (title, id), needed is CREATE UNIQUE INDEX books_titles ON schema_test.books USING btree (title, id)',
      ],
    ],
    [
      'an index for other rows',
      'DROP INDEX books_lent; CREATE INDEX books_lent ON books (id) WHERE copies > 0',
      [
        'index books.books_lent is CREATE INDEX books_lent ON schema_test.books USING btree (id) WHERE (copies > 0), needed is CREATE INDEX books_lent ON schema_test.books USING btree (id) WHERE (copies = 0)',
      ],
    ],
    ['a table that is gone', 'DROP TABLE loans', ['table loans is missing']],
    [
      'a table that a crash empties',
      'ALTER TABLE loans SET UNLOGGED',
      ['table loans is a table that is not logged, needed is a table that is logged'],
    ],
  ])('are refused for %s', async (_, change, differences) => {
    await open(true)
    await script(`SET LOCAL search_path = ${schema}; ${change}`)
    expect(await differencesOf()).toEqual(differences)
  })

  it('of another version are refused and left alone', async () => {
    await open(true)
    expect(await differencesOf({ ...library, version: 4 })).toEqual(['they have version 3, this program needs 4'])
    await expectAsNeeded()
  })

  it.each(['', 'Upper', 'a-b', 'a"; DROP TABLE b', 'pg_mine', 'x'.repeat(41), 7])(
    'are in no schema named %j',
    async (name) => {
      const refused = await rejectionOf(openSchema(database, library, { schema: name as string, create: true }))
      expect(refused).toMatchObject({ code: 'invalid_input', data: { subject: 'name of a schema' } })
    },
  )
})
