/** A task in the oracle. */
export interface OracleTask {
  readonly parent: string | undefined
  isCancelled: boolean
  readonly isRepeating: boolean
  /** The final states of its runs that were forgotten. */
  readonly forgotten: string[]
  /** The failed task that this one retries. */
  readonly retryOf: string | undefined
  /** 0 if it has no parent. */
  readonly depth: number
  readonly createdAtMs: number
}

/** A run in the oracle. */
export interface OracleRun {
  readonly task: string
  state: string
  attempt: string | undefined
  attempts: string[]
  /** When its first attempt started, in epoch milliseconds. */
  startedAtMs: number | undefined
  /** Whether its attempt is only waiting. */
  isWaiting: boolean
  /** Keys of the finished steps. */
  readonly steps: Set<string>
  /** By key, in the order in which they began. */
  readonly waits: Map<string, OracleDurableWait>
  lease: { owner: string; expiresAtMs: number; token: number } | undefined
  history: string[]
}

/** A wait in the oracle. */
export interface OracleDurableWait {
  readonly type: string
  /** The name of a question. */
  readonly name: string | undefined
  readonly isLimited: boolean
  /** Sequence of the command that began it. */
  readonly begunAt: number
  end: string | undefined
}

/** The budget of one task for one dimension in the oracle. */
export interface OracleBudget {
  limit: number
  consumed: number
  reserved: number
}

/** A subscription in the oracle. */
export interface OracleSubscription {
  readonly task: string
  readonly rearm: boolean
  isTriggered: boolean
  isCancelled: boolean
  pending: number
}

/** A reservation in the oracle. */
export interface OracleReservation {
  readonly task: string
  readonly run: string | undefined
  readonly dimension: string
  readonly amount: number
  /** The budgets from which it is reserved. */
  readonly charged: readonly OracleBudget[]
}
