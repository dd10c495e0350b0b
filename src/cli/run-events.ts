import type { OperationId } from '../../machines/operation-vocabulary.js'
import type { ToolResult } from './run-report.js'

/** An event of a run in progress. */
export type RunEvent =
  | {
      readonly type: 'opened'
      readonly plan: string
      readonly dataDir: string
      /** Names of all tools, in the order of the plan. */
      readonly tools: readonly string[]
      /** How many tools this run will start, unless some are skipped later. */
      readonly toRun: number
      readonly concurrency: number
      /** Results of earlier runs, for tools that this run does not start. */
      readonly before: readonly ToolResult[]
    }
  /** Processes of a killed run were found running. */
  | { readonly type: 'reaped'; readonly tool: string; readonly killed: number; readonly leftPids: readonly number[] }
  | { readonly type: 'started'; readonly tool: string; readonly operationId: OperationId }
  /** `fraction` is from 0 to 1. */
  | { readonly type: 'progress'; readonly tool: string; readonly message?: string; readonly fraction?: number }
  /** A tool has failed and will be retried. */
  | { readonly type: 'retrying'; readonly result: ToolResult; readonly attempts: number; readonly delayMs: number }
  /** A tool has ended for good, or its result is known without starting it. */
  | { readonly type: 'ended'; readonly result: ToolResult }
  /** A problem that the run may survive, such as a full disk. */
  | { readonly type: 'warning'; readonly message: string }
  | { readonly type: 'stopping'; readonly how: 'retire' | 'terminate' }

/** Receives the events of a run; must not throw. */
export type RunListener = (event: RunEvent) => void
