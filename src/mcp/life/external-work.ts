import { StatewardError } from '../../base/errors.js'
import type { JsonValue } from '../../base/json.js'
import { silence } from '../../base/promises.js'
import type { AwaitOutput, Processes } from '../../processes/index.js'
import { encodeValue } from '../../work/values.js'
import { hasEnded, type TaskState } from '../wire/detailed-task.js'
import { faultType } from '../wire/names.js'
import type { TaskFault, ToolResult } from '../wire/shapes.js'
import { McpError } from './errors.js'
import { endWith, resultOf, textForHosts, toolError } from './results.js'
import type { TaskLog } from './task-log.js'
import type { DurableTool } from './tool.js'

/** What {@link ExternalWork} works with. */
export interface ExternalWorkOptions {
  readonly processes: Processes
  readonly log: TaskLog
  readonly tools: ReadonlyMap<string, DurableTool>
  readonly random: (size: number) => Uint8Array
  readonly maxResultBytes: number
  readonly exposeErrors: boolean
  /** Aborts when the door is closed. */
  readonly closing: AbortSignal
  readonly onFault: (failure: unknown) => void
}

/** Tasks that are not run here: starts their work, follows it, and writes their ends. */
export class ExternalWork {
  readonly #options: ExternalWorkOptions

  constructor(options: ExternalWorkOptions) {
    this.#options = options
  }

  /** Starts the work of a task, if its tool says how, and ends the task with its result. */
  begin(state: TaskState): void {
    const { tools, onFault } = this.#options
    const begin = tools.get(state.payload.tool)?.begin
    if (begin !== undefined && !hasEnded(state)) silence(this.#follow(state, begin).catch(onFault))
  }

  /**
   * Completes a task. Rejects with `mcp_task_unknown`, `mcp_task_ended` and, for a task that is run here,
   * `mcp_task_not_external`.
   */
  async complete(taskId: string, result: ToolResult): Promise<void> {
    const { log, tools, maxResultBytes } = this.#options
    const { payload } = await this.#find(taskId)
    const kept = await resultOf(result, tools.get(payload.tool) ?? { name: payload.tool }, maxResultBytes)
    const end = await endWith(kept, this.#randomNumber(), (...part) => log.append(taskId, ...part))
    await this.#end(taskId, { type: 'success', value: encodeValue(end, 'result') as JsonValue })
  }

  /** Fails a task with a protocol error. Rejects like {@link ExternalWork.complete}. */
  async fail(taskId: string, fault: TaskFault): Promise<void> {
    await this.#find(taskId)
    await this.#options.log.append(taskId, faultType, fault, `fault:${this.#randomNumber()}`)
    await this.#end(taskId, { type: 'failure', class: 'external', code: 'mcp_task_failed', message: fault.message })
  }

  /**
   * Ends a task that was asked to end and is not run here, because its tool is `external` or not defined. Other tasks
   * end by their runs. Rejects with `mcp_task_ended`.
   */
  async cancel({ taskId, payload }: TaskState, reason: string): Promise<void> {
    const { processes, tools } = this.#options
    const tool = tools.get(payload.tool)
    const record = await processes.store.getProcess(taskId)
    if (record?.disposition === 'externally_owned') await tool?.cancel?.(taskId)
    else if (tool !== undefined) return
    await this.#end(taskId, { type: 'cancelled', message: 'the task was cancelled', raw: { reason } })
  }

  async #end(taskId: string, output: AwaitOutput): Promise<void> {
    const { store } = this.#options.processes
    const record = await store.getProcess(taskId)
    const right =
      record?.disposition === 'externally_owned'
        ? ({ type: 'external_owner' } as const)
        : ({ type: 'workflow_key', key: taskId } as const)
    const { outcome } = await store.completeProcess(taskId, output, right)
    if (outcome === 'superseded') throw new McpError('mcp_task_ended', { taskId })
  }

  async #follow(state: TaskState, begin: NonNullable<DurableTool['begin']>): Promise<void> {
    const { processes, closing, exposeErrors } = this.#options
    const { taskId, payload } = state
    try {
      let result: ToolResult
      try {
        result = await begin(payload.args, taskId)
      } catch (thrown) {
        // The work continues, and the next process that opens the directory follows it.
        if (closing.aborted || isOfClosing(thrown)) return
        // Work that is cancelled ends with an error, perhaps before its cancel ends the task.
        if ((await processes.store.getProcess(taskId))?.cancelRequested === true)
          return await this.#end(taskId, { type: 'cancelled', message: 'the work was cancelled' })
        result = toolError(textForHosts(thrown, exposeErrors))
      }
      await this.complete(taskId, result)
    } catch (refusal) {
      if (!StatewardError.is(refusal, 'mcp_task_ended') && !StatewardError.is(refusal, 'mcp_task_unknown'))
        throw refusal
    }
  }

  async #find(taskId: string): Promise<TaskState> {
    const { log, processes } = this.#options
    const state = await log.read(taskId)
    if (state === undefined) throw new McpError('mcp_task_unknown', {})
    if (hasEnded(state)) throw new McpError('mcp_task_ended', { taskId })
    const record = await processes.store.getProcess(taskId)
    if (record?.disposition !== 'externally_owned') throw new McpError('mcp_task_not_external', { taskId })
    return state
  }

  /** Distinguishes the parts written for one end from those of an earlier attempt that a crash cut off. */
  #randomNumber(): number {
    return Buffer.from(this.#options.random(6)).readUIntBE(0, 6)
  }
}

function isOfClosing(thrown: unknown): boolean {
  return StatewardError.is(thrown, 'process.await_closed') || StatewardError.is(thrown, 'runtime_closed')
}
