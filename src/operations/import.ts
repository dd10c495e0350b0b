import * as v from 'valibot'
import type { JsonObject } from '../base/json.js'
import { completionRow } from './completion.js'
import { internalError } from './errors.js'
import { operationRow } from './operation.js'
import { defineEvent, defineRow, sessionRow } from './session-state.js'
import { count } from './vocabulary.js'

/** The rows of an imported session, in the order in which they are restored. */
export const importedRows = [sessionRow, operationRow, completionRow] as const

/**
 * Begins an import. The session's rows, the same as in a snapshot, follow in groups that fit the journal, and the
 * session exists once the last event marks it as complete. An incomplete import is never visible: the next thing that
 * begins in the stream starts from scratch.
 */
export const importBegun = defineEvent('import_begun', {
  fields: {},
  begins: () => true,
  evolve: ({ tables }) => {
    tables.close()
    tables.importedRows = 0
  },
})

/** Adds a group of rows. */
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

/** The import is complete. Raises `internal` if rows are missing. */
export const sessionImported = defineEvent('session_imported', {
  fields: { rows: count },
  evolve: ({ tables }, { rows }) => {
    const { importedRows: found } = tables
    if (found !== rows) throw internalError(`the import has ${found} of its ${rows} rows`)
    tables.importedRows = undefined
    tables.finishRestore()
  },
})

/** An import in progress; in a snapshot it precedes the rows imported so far. */
export const importRow = defineRow('import', {
  fields: { rows: count },
  capture: ({ importedRows: rows }) => (rows === undefined ? [] : [{ rows }]),
  restore: ({ tables }, { rows }) => {
    tables.importedRows = rows
  },
})
