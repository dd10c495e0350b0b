import * as v from 'valibot'
import type { JsonObject } from '../base/json.js'
import { completionRow } from './completion.js'
import { internalError } from './errors.js'
import { operationRow } from './operation.js'
import { defineEvent, defineRow, sessionRow } from './session-state.js'
import { count } from './vocabulary.js'

/** What an imported session consists of, in the order in which it is put back. */
export const importedRows = [sessionRow, operationRow, completionRow] as const

/**
 * An import comes in as the rows that a snapshot of the session would hold, in groups that fit the journal. The session is there
 * once the last event says that it is whole. Of an import that broke off nothing is ever seen: whatever begins after it
 * in its stream begins anew.
 */
export const importBegun = defineEvent('import_begun', {
  fields: {},
  begins: () => true,
  evolve: ({ tables }) => {
    tables.close()
    tables.importedRows = 0
  },
})

/** Some of the rows. */
export const rowsImported = defineEvent('rows_imported', {
  fields: { rows: v.array(v.unknown()) },
  evolve: (draft, { rows }) => {
    const { importedRows: before } = draft.tables
    if (before === undefined) throw internalError('rows are imported without an import')
    for (const stored of rows as readonly JsonObject[]) {
      const definition = importedRows.find(({ kind }) => kind === stored['row'])
      if (definition === undefined) throw internalError(`no row of an import: ${JSON.stringify(stored['row'])}`)
      definition.restore(draft, stored)
    }
    draft.tables.importedRows = before + rows.length
  },
})

/** The import is whole. Raises `internal` when rows are missing. */
export const sessionImported = defineEvent('session_imported', {
  fields: { rows: count },
  evolve: ({ tables }, { rows }) => {
    const { importedRows: found } = tables
    if (found !== rows) throw internalError(`the import has ${found} of its ${rows} rows`)
    tables.importedRows = undefined
    tables.finishRestore()
  },
})

/** An import under way, before the rows that it has brought so far. */
export const importRow = defineRow('import', {
  fields: { rows: count },
  capture: ({ importedRows: rows }) => (rows === undefined ? [] : [{ rows }]),
  restore: ({ tables }, { rows }) => {
    tables.importedRows = rows
  },
})
