import { isSameJson } from '../../base/json-copy.js'
import type { JsonValue } from '../../base/json.js'
import { InvalidInputError } from '../../base/errors.js'
import { createDeferred, silence, type Deferred } from '../../base/promises.js'
import { mcpTaskChart, type McpTaskPlace } from '../../../machines/mcp-task.js'
import { encodeValue } from '../../work/values.js'
import type { TaskState } from '../wire/detailed-task.js'
import { fits, inputRequestSchema, type InputRequest } from '../wire/shapes.js'
import { McpError } from './errors.js'

/** How questions are asked. */
export interface QuestionPort {
  /** Resolves once the question is durable. */
  readonly ask: (key: string, request: InputRequest) => Promise<unknown>
  /** The next answer not taken before. The run gives up its slot meanwhile. */
  readonly nextAnswer: () => Promise<{ readonly key: string; readonly response: unknown }>
}

/** Keys become parts of ids. */
const keyPattern = /^[\x21-\x7e]{1,128}$/

/**
 * The questions of one run of a task, and their answers. A key identifies one question for the whole life of the task.
 * A question already asked by an earlier run is not asked again, and an existing answer is returned at once.
 */
export class Questions {
  readonly #port: QuestionPort
  readonly #allowed: ReadonlySet<string>
  readonly #mostOpen: number
  readonly #requests: Map<string, InputRequest>
  readonly #answers: Map<string, unknown>
  readonly #waiting = new Map<string, Deferred<unknown>>()
  #place: McpTaskPlace
  #isWaiting = false
  #fault: Error | undefined

  constructor({ place, requests, answers, payload }: TaskState, port: QuestionPort, mostOpen: number) {
    this.#port = port
    this.#allowed = new Set(payload.questions)
    this.#mostOpen = mostOpen
    this.#requests = new Map(requests)
    this.#answers = new Map(answers)
    this.#place = place
  }

  /** A fault of the program that ends the task, even if its function catches it. */
  get fault(): Error | undefined {
    return this.#fault
  }

  /**
   * Asks, and resolves with the answer to each key. Before anything is written, rejects with `invalid_input`,
   * `mcp_question_unsupported`, `mcp_limit_reached` and `mcp_question_reused`.
   */
  async input(given: Readonly<Record<string, InputRequest>>): Promise<Readonly<Record<string, unknown>>> {
    // The task is going to end with the fault, so nobody is asked anything more.
    if (this.#fault !== undefined) throw this.#fault
    const requests = takeRequests(given)
    const fresh = requests.filter(([key, request]) => this.#isFresh(key, request))
    const open = this.#place.context.open.length
    if (open + fresh.length > this.#mostOpen)
      throw new McpError('mcp_limit_reached', { limit: 'maxOpenQuestions', most: this.#mostOpen })
    for (const [key, request] of fresh) {
      // Noted before it is durable, because another call may use the same key at once.
      this.#place = mcpTaskChart.move(this.#place, { type: 'ask', key }) as McpTaskPlace
      this.#requests.set(key, request)
    }
    await Promise.all(fresh.map(([key, request]) => this.#port.ask(key, request)))
    const answers = await Promise.all(requests.map(async ([key]) => [key, await this.#answerTo(key)] as const))
    return Object.fromEntries(answers)
  }

  #isFresh(key: string, request: InputRequest): boolean {
    if (!this.#allowed.has(request.method)) throw new McpError('mcp_question_unsupported', { method: request.method })
    if (mcpTaskChart.select(this.#place, { type: 'ask', key }).isTaken) return true
    if (isSameJson(this.#requests.get(key) as unknown as JsonValue, request as unknown as JsonValue)) return false
    this.#fault ??= new McpError('mcp_question_reused', { key })
    throw this.#fault
  }

  #answerTo(key: string): Promise<unknown> {
    if (this.#answers.has(key)) return Promise.resolve(this.#answers.get(key))
    const waiting = this.#waiting.get(key) ?? createDeferred<unknown>()
    this.#waiting.set(key, waiting)
    silence(this.#wait())
    return waiting.promise
  }

  /** Waits one at a time, because answers arrive in one order. */
  async #wait(): Promise<void> {
    if (this.#isWaiting) return
    this.#isWaiting = true
    try {
      while (this.#waiting.size > 0) {
        const { key, response } = await this.#port.nextAnswer()
        const place = mcpTaskChart.move(this.#place, { type: 'answer', key })
        // Answers to an earlier run arrive again.
        if (place !== undefined) this.#place = place
        if (!this.#answers.has(key)) this.#answers.set(key, response)
        this.#waiting.get(key)?.resolve(this.#answers.get(key))
        this.#waiting.delete(key)
      }
    } catch (failure) {
      for (const waiting of this.#waiting.values()) waiting.reject(failure)
      this.#waiting.clear()
    } finally {
      this.#isWaiting = false
    }
  }
}

function takeRequests(given: unknown): readonly (readonly [key: string, request: InputRequest])[] {
  const refuse = (field: string, reason: string): never => {
    throw new InvalidInputError({ subject: 'questions of a task', field, reason })
  }
  const taken = encodeValue(given, 'questions of a task')
  if (typeof taken !== 'object' || taken === null || Array.isArray(taken)) return refuse('$', 'not an object')
  const entries = Object.entries(taken) as [string, unknown][]
  if (entries.length === 0) refuse('$', 'no question')
  return entries.map(([key, request]) => {
    if (!keyPattern.test(key)) refuse(key.slice(0, 64), 'not a key of 1 to 128 visible characters of ASCII')
    return fits(inputRequestSchema, request) ? [key, request] : refuse(key, 'not a request that a client can be asked')
  })
}
