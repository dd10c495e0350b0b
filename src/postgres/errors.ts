import { defineErrors, type ErrorDataOf } from '../base/define-errors.js'
import type { StatewardError } from '../base/errors.js'

interface Unavailable {
  readonly store: 'postgres'
  /** The client's message. */
  readonly reason: string
  /** `not_applied`: nothing has changed. `unknown`: the connection was lost while the server was committing. */
  readonly outcome: 'not_applied' | 'unknown'
  /** The SQLSTATE code, if the error came from the server. */
  readonly sqlState?: string
}

const messages = {
  /** The server cannot be reached, is shutting down, or has no resources left. A later try may succeed. */
  'store.unavailable': ({ store, reason, outcome }: Unavailable) =>
    outcome === 'unknown'
      ? `the store ${store} became unavailable while it was committing, whether it did is unknown: ${reason}`
      : `the store ${store} failed: ${reason}`,
  /** Every attempt conflicted with other transactions. Nothing has changed; a later try may succeed. */
  'store.conflict': ({
    attempts,
    cause,
  }: {
    readonly attempts: number
    readonly cause: string
    readonly sqlState: string
  }) => `other transactions were in the way in each of ${attempts} attempts: ${cause}`,
  /** The statement would violate a constraint of the schema. Nothing has changed. */
  'store.constraint': (data: {
    readonly constraint: string
    readonly table: string
    readonly rule: 'unique' | 'foreign_key' | 'not_null' | 'check' | 'other'
    readonly sqlState: string
  }) => `the constraint ${data.constraint} of ${data.table} does not hold (${data.rule})`,
  /**
   * The server refuses the statement, and would refuse it again: no permission, no such table, invalid value. Nothing
   * has changed.
   */
  'store.rejected': ({ cause, sqlState }: { readonly cause: string; readonly sqlState: string }) =>
    `the store refuses the statement (${sqlState}): ${cause}`,
  /** The tables of the database differ from what this version needs. */
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

/** Thrown by stores on a database server. The message is derived from `data`; the client's own error is `cause`. */
export const StoreError = defineErrors('StoreError', messages)
export type StoreError<Code extends StoreErrorCode = StoreErrorCode> = StatewardError<Code, StoreErrorData[Code]>
