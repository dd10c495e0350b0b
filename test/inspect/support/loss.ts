import { inspectionGapType } from 'stateward/inspect'

/** What matters here of an event of either library. */
type Shown = {
  readonly type: string
  readonly id: string
  readonly event?: { readonly type: string; readonly dropped?: unknown }
}

/** What a viewer can know of loss: how much each notice announces, and how many ids each hole is wide. */
export function lossIn(events: readonly Shown[]): { announced: number[]; missing: number[] } {
  const announced = events.flatMap(({ type, event }) =>
    type === '@xstate.event' && event?.type === inspectionGapType ? (event.dropped as number) : [],
  )
  const ids = events.map(({ id }) => Number(id))
  const missing = ids.map((id, index) => id - (ids[index - 1] ?? 0) - 1).filter((width) => width !== 0)
  return { announced, missing }
}

/** The sum of some numbers. */
export function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}
