/** A task as the oracle keeps it. */
export interface OracleTask {
  readonly parent: string | undefined
  isCancelled: boolean
  readonly isRepeating: boolean
  /** How the runs ended that were forgotten while it stayed. */
  readonly forgotten: string[]
  /** The failed task that it does again. */
  readonly retryOf: string | undefined
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
  /** When its first attempt began. */
  startedAtMs: number | undefined
  /** All that its attempt does is wait. */
  isWaiting: boolean
  /** Keys of steps that are done. */
  readonly steps: Set<string>
  /** By key, in the order in which they were begun. */
  readonly waits: Map<string, OracleDurableWait>
  lease: { owner: string; expiresAtMs: number; token: number } | undefined
  history: string[]
}

/** A wait as the oracle keeps it. */
export interface OracleDurableWait {
  readonly type: string
  /** Of a question. */
  readonly name: string | undefined
  readonly isLimited: boolean
  /** Sequence of the command that began it. */
  readonly begunAt: number
  end: string | undefined
}

/** What one task may spend of one dimension, as the oracle keeps it. */
export interface OracleBudget {
  limit: number
  consumed: number
  reserved: number
}

/** A subscription as the oracle keeps it. */
export interface OracleSubscription {
  readonly task: string
  readonly rearm: boolean
  isTriggered: boolean
  isCancelled: boolean
  pending: number
}

/** An amount that is set aside, as the oracle keeps it. */
export interface OracleReservation {
  readonly task: string
  readonly run: string | undefined
  readonly dimension: string
  readonly amount: number
  /** The budgets that it was set aside on. */
  readonly charged: readonly OracleBudget[]
}
