import type { OperationId } from '../../machines/operation-vocabulary.js'
import type { ToolResult } from './run-report.js'

/** What a run tells while it goes on. */
export type RunEvent =
  | {
      readonly type: 'opened'
      readonly plan: string
      readonly dataDir: string
      /** Names of all tools, in the order of the plan. */
      readonly tools: readonly string[]
      /** How many tools this run will start, unless some of them turn out to be left out. */
      readonly toRun: number
      readonly concurrency: number
      /** What earlier runs left, for tools that this run does not start. */
      readonly before: readonly ToolResult[]
    }
  /** Processes of a killed run were found running. */
  | { readonly type: 'reaped'; readonly tool: string; readonly killed: number; readonly leftPids: readonly number[] }
  | { readonly type: 'started'; readonly tool: string; readonly operationId: OperationId }
  /** `fraction` goes from 0 to 1. */
  | { readonly type: 'progress'; readonly tool: string; readonly message?: string; readonly fraction?: number }
  /** A tool has failed, and is started once more. */
  | { readonly type: 'retrying'; readonly result: ToolResult; readonly attempts: number; readonly delayMs: number }
  /** A tool has ended for good, or is settled without having been started. */
  | { readonly type: 'ended'; readonly result: ToolResult }
  /** Something is wrong that the run may get over, such as a disk that is full. */
  | { readonly type: 'warning'; readonly message: string }
  | { readonly type: 'stopping'; readonly how: 'retire' | 'terminate' }

/** Takes what a run tells; must not throw. */
export type RunListener = (event: RunEvent) => void
