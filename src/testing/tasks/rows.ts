/** A task as the oracle keeps it. */
export interface OracleTask {
  readonly parent: string | undefined
  isCancelled: boolean
  /** 0 without a parent. */
  readonly depth: number
  readonly createdAtMs: number
}

/** A run as the oracle keeps it. */
export interface OracleRun {
  readonly task: string
  state: string
  attempt: string | undefined
  attempts: string[]
  lease: { owner: string; expiresAtMs: number; token: number } | undefined
  history: string[]
}

/** What one task may spend of one dimension, as the oracle keeps it. */
export interface OracleBudget {
  limit: number
  consumed: number
  reserved: number
}

/** A subscription as the oracle keeps it. */
export interface OracleSubscription {
  readonly rearm: boolean
  isTriggered: boolean
  isCancelled: boolean
  pending: number
}

/** An amount that is set aside, as the oracle keeps it. */
export interface OracleReservation {
  readonly task: string
  readonly dimension: string
  readonly amount: number
  /** The budgets that it was set aside on. */
  readonly charged: readonly OracleBudget[]
}
