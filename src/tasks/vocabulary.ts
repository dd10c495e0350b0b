/** How an attempt ended (T-110); `lost` if the process that worked on it died. */
export const attemptResults = ['success', 'failure', 'timeout', 'suspended', 'lost'] as const
export type AttemptResult = (typeof attemptResults)[number]

/** Whether another attempt may help. Durable, so that replay makes the same retry decision (T-131). */
export const failureClasses = ['retryable', 'terminal'] as const
export type FailureClass = (typeof failureClasses)[number]

/** What an actor may do in a tenant. */
export type Capability =
  | { readonly type: 'can_submit' | 'can_execute' | 'can_review' | 'can_approve' | 'can_cancel' }
  | { readonly type: 'custom'; readonly name: string }
