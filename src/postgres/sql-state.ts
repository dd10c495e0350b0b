import { messageOf, StatewardError } from '../base/errors.js'
import { StoreError } from './errors.js'

/** The error that the client throws for an answer of the server. */
interface ServerError {
  readonly code: string
  readonly message: string
  readonly constraint?: string
  readonly table?: string
  readonly column?: string
}

/** The transaction conflicted with others: all of it may be tried again. */
const conflicts = new Set([
  '40001', // serialization failure
  '40P01', // deadlock
  '55P03', // lock not available
])

/** By class: the server or the connection to it has a fault that may be temporary. */
const unavailableClasses = new Set([
  '08', // connection exception
  '53', // insufficient resources: too many connections, disk full
  '57', // operator intervention: shutting down, starting up, cancelled
  '58', // system error outside of the server
  'XX', // internal error
])

const unavailableCodes = new Set([
  '25006', // read only: another server has taken over, or is about to
  '25P03', // the server ended an idle transaction
  '25P04', // the server ended a transaction that took too long
])

const constraintRules: Readonly<Record<string, 'unique' | 'foreign_key' | 'not_null' | 'check'>> = {
  '23505': 'unique',
  '23503': 'foreign_key',
  '23502': 'not_null',
  '23514': 'check',
}

/**
 * The typed error for what the client threw. Programming errors (a value that cannot be sent) and errors that are
 * typed already are returned unchanged.
 */
export function storeErrorOf(thrown: unknown): unknown {
  if (StatewardError.is(thrown)) return thrown
  if (thrown instanceof TypeError || thrown instanceof RangeError) return thrown
  const cause = messageOf(thrown)
  if (!isServerError(thrown))
    return new StoreError(
      'store.unavailable',
      { store: 'postgres', reason: cause, outcome: 'not_applied' },
      { cause: thrown },
    )
  const { code: sqlState } = thrown
  if (conflicts.has(sqlState))
    return new StoreError('store.conflict', { attempts: 1, cause, sqlState }, { cause: thrown })
  if (sqlState.startsWith('23')) {
    const { constraint = thrown.column ?? '', table = '' } = thrown
    const rule = constraintRules[sqlState] ?? 'other'
    return new StoreError('store.constraint', { constraint, table, rule, sqlState }, { cause: thrown })
  }
  if (unavailableClasses.has(sqlState.slice(0, 2)) || unavailableCodes.has(sqlState)) {
    return new StoreError(
      'store.unavailable',
      { store: 'postgres', reason: cause, outcome: 'not_applied', sqlState },
      { cause: thrown },
    )
  }
  return new StoreError('store.rejected', { cause, sqlState }, { cause: thrown })
}

/** Errors of the operating system have a `code`, too (`EPIPE`), but only the server's have a severity. */
function isServerError(thrown: unknown): thrown is ServerError {
  if (!(thrown instanceof Error) || !('code' in thrown) || !('severity' in thrown)) return false
  return typeof thrown.code === 'string' && /^[0-9A-Z]{5}$/.test(thrown.code)
}
