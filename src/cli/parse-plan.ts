import { decodeJson } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import { textsOf } from './expand-tool.js'
import { nearest } from './nearest.js'
import { circleOf, orderByNeeds } from './needs.js'
import { maxPlanBytes, type Plan, type PlannedTool } from './plan.js'
import { planSchema, type DecodedPlan } from './plan-schema.js'
import { parseTemplate, referencesOf } from './template.js'

/** How many names of a circle are shown. */
const shownNames = 10

/**
 * Decodes the text of a plan file.
 *
 * Raises `invalid_input` naming the offending field, for instance `tools.3.timeoutMs`.
 */
export function parsePlan(source: string, subject: string): Plan {
  const decoded = decodeJson(planSchema, source, { subject, maxBytes: maxPlanBytes })
  const { name, concurrency, env, timeoutMs } = decoded
  const tools = decoded.tools.map(
    ({ after = 'success', ...tool }): PlannedTool => ({
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...tool,
      after,
    }),
  )
  new PlanCheck(subject, decoded, tools).run()
  return { name, concurrency, env, tools }
}

/** Checks the relations between fields of a plan. */
class PlanCheck {
  readonly #subject: string
  readonly #decoded: DecodedPlan
  readonly #tools: readonly PlannedTool[]
  readonly #places = new Map<string, number>()

  constructor(subject: string, decoded: DecodedPlan, tools: readonly PlannedTool[]) {
    this.#subject = subject
    this.#decoded = decoded
    this.#tools = tools
  }

  /** Raises `invalid_input`. */
  run(): void {
    for (const [place, { name }] of this.#tools.entries()) {
      const earlier = this.#places.get(name)
      if (earlier !== undefined) this.#refuse(place, 'name', `"${name}" is already the name of tools.${earlier}`)
      this.#places.set(name, place)
    }
    for (const [place, tool] of this.#tools.entries()) {
      this.#checkNeeds(place, tool)
      this.#checkOutputs(place, tool)
      if (tool.expect.type === 'timeout' && tool.timeoutMs === undefined) {
        this.#refuse(place, 'expect.timeout', 'the tool has no timeoutMs that it could run into')
      }
    }
    this.#checkCircles()
  }

  #checkNeeds(place: number, { name, needs }: PlannedTool): void {
    const seen = new Map<string, number>()
    for (const [index, need] of needs.entries()) {
      const field = `needs.${index}`
      if (need === name) this.#refuse(place, field, `"${name}" cannot need itself`)
      if (!this.#places.has(need)) this.#refuse(place, field, this.#unknownTool(need))
      const earlier = seen.get(need)
      if (earlier !== undefined) this.#refuse(place, field, `"${need}" is needed already, by needs.${earlier}`)
      seen.set(need, index)
    }
    if (needs.length === 0 && this.#decoded.tools[place]?.after !== undefined) {
      this.#refuse(place, 'after', 'the tool needs no other that it could come after')
    }
  }

  #unknownTool(name: string): string {
    const meant = nearest(name, this.#places.keys())
    return `no tool is named "${name}"${meant === undefined ? '' : `, did you mean "${meant}"?`}`
  }

  #checkOutputs(place: number, tool: PlannedTool): void {
    for (const [field, text] of textsOf(tool)) {
      for (const { tool: other, source } of referencesOf(parseTemplate(text))) {
        if (other === undefined || tool.needs.includes(other)) continue
        const reason = this.#places.has(other)
          ? `"${other}" is not among what the tool needs`
          : this.#unknownTool(other)
        this.#refuse(place, field, `${source}: ${reason}`)
      }
    }
  }

  #checkCircles(): void {
    const { left } = orderByNeeds(this.#tools)
    const circle = circleOf(left)
    const [first = '', second = ''] = circle
    const place = this.#places.get(first)
    if (place === undefined) return
    const shown = circle.length > shownNames ? [...circle.slice(0, shownNames), '...'] : circle
    const index = this.#tools[place]?.needs.indexOf(second) ?? 0
    this.#refuse(place, `needs.${index}`, `a cycle: ${shown.join(' needs ')}`)
  }

  #refuse(place: number, field: string, reason: string): never {
    throw new InvalidInputError({ subject: this.#subject, field: `tools.${place}.${field}`, reason })
  }
}
