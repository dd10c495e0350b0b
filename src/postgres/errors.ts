import { defineErrors, type ErrorDataOf } from '../base/define-errors.js'
import type { StatewardError } from '../base/errors.js'

interface Unavailable {
  readonly store: 'postgres'
  /** What the client said. */
  readonly reason: string
  /** `not_applied`: nothing has changed. `unknown`: the connection was lost while the server was committing. */
  readonly outcome: 'not_applied' | 'unknown'
  /** The code of the server, when it was the server that said so. */
  readonly sqlState?: string
}

const messages = {
  /** The server cannot be reached, is going down, or has no room. A later try may succeed. */
  'store.unavailable': ({ store, reason, outcome }: Unavailable) =>
    outcome === 'unknown'
      ? `the store ${store} became unavailable while it was committing, whether it did is unknown: ${reason}`
      : `the store ${store} failed: ${reason}`,
  /** Other transactions were in the way, each time that it was tried. Nothing has changed; a later try may succeed. */
  'store.conflict': ({
    attempts,
    cause,
  }: {
    readonly attempts: number
    readonly cause: string
    readonly sqlState: string
  }) => `other transactions were in the way in each of ${attempts} attempts: ${cause}`,
  /** The statement would break a constraint of the schema. Nothing has changed. */
  'store.constraint': (data: {
    readonly constraint: string
    readonly table: string
    readonly rule: 'unique' | 'foreign_key' | 'not_null' | 'check' | 'other'
    readonly sqlState: string
  }) => `the constraint ${data.constraint} of ${data.table} does not hold (${data.rule})`,
  /** The server refuses the statement, whoever asks again: no right, no such table, no such value. Nothing has changed. */
  'store.rejected': ({ cause, sqlState }: { readonly cause: string; readonly sqlState: string }) =>
    `the store refuses the statement (${sqlState}): ${cause}`,
  /** The database is not made as this version needs it. */
  'store.schema_mismatch': ({
    schema,
    part,
    differences,
  }: {
    readonly schema: string
    readonly part: string
    readonly differences: readonly string[]
  }) => `the tables of ${part} in schema ${schema} are not as they must be: ${differences.join('; ')}`,
  /** The connection to the store was closed by its owner. */
  'store.closed': () => 'the store is closed',
}

/** Data of every error of a store, by code. */
export type StoreErrorData = ErrorDataOf<typeof messages>

/** Stable code of a {@link StoreError}. */
export type StoreErrorCode = keyof StoreErrorData

/** Raised by what is kept on a database server. The message is derived from `data`, the client's own error is `cause`. */
export const StoreError = defineErrors('StoreError', messages)
export type StoreError<Code extends StoreErrorCode = StoreErrorCode> = StatewardError<Code, StoreErrorData[Code]>
