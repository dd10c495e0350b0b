import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { durationSchema, portSchema } from '../base/options.js'
import { nodeIdSchema, type NodeId } from './ids.js'
import { inventorySchema, type PeerInventory } from './inventory.js'
import { nodeHealthSchema, type NodeHealth } from './vocabulary.js'

/** Something that can be asked in every tick; quick and synchronous. It says nothing of this node. */
export interface Probe<Sample> {
  /** For the log. */
  readonly name?: string
  sample(): readonly (readonly [NodeId, Sample])[]
}

/** Says how long the way to peers is, in milliseconds. */
export type LocalityProbe = Probe<number>
/** Says how peers are. */
export type HealthProbe = Probe<NodeHealth>
/** Says what peers have; of several answers for one peer in one tick, each field is that of the last that knows it. */
export type InventoryProbe = Probe<PeerInventory>

/** The kinds of probes, with what they say. */
export interface ProbeSamples {
  readonly locality: number
  readonly health: NodeHealth
  readonly inventory: PeerInventory
}

/** A kind of probe. */
export type ProbeKind = keyof ProbeSamples

/** What the probes of one kind said in one tick. */
export interface Polled<Sample> {
  readonly samples: readonly (readonly [NodeId, Sample])[]
  /** Some probe threw, or answered with a promise. */
  readonly hasFailed: boolean
}

/** A fault of a port: it threw, or it answered with a promise where an answer was asked for. */
export type OnFault = (port: string, cause: unknown) => void

const kindSchema: v.GenericSchema<unknown, ProbeKind> = v.picklist(['locality', 'health', 'inventory'])
const probeSchema = portSchema<Probe<unknown>>(['sample'])

type Lists = { [Kind in ProbeKind]: readonly Probe<ProbeSamples[Kind]>[] }

/**
 * The probes of a node. They may be added and taken away at any time; what changes while they are asked counts from the next tick
 * on. One that fails says nothing in that tick, and the others are asked all the same (N-420).
 */
export class ProbeRegistry {
  #lists: Lists = { locality: [], health: [], inventory: [] }

  /** Adds a probe, to be asked after those that are there. Raises `invalid_input`. */
  add<Kind extends ProbeKind>(kind: Kind, probe: Probe<ProbeSamples[Kind]>): void {
    decode(kindSchema, kind, 'kind of a probe')
    decode(probeSchema, probe, `${kind} probe`)
    this.#lists = { ...this.#lists, [kind]: [...this.#lists[kind], probe] }
  }

  /** Takes the probes of one kind away. What they said last is kept until somebody says otherwise. */
  clear(kind: ProbeKind): void {
    decode(kindSchema, kind, 'kind of a probe')
    this.#lists = { ...this.#lists, [kind]: [] }
  }

  /** How many probes of each kind there are, at one instant. */
  counts(): Readonly<Record<ProbeKind, number>> {
    const { locality, health, inventory } = this.#lists
    return { locality: locality.length, health: health.length, inventory: inventory.length }
  }

  /** Asks every probe once, in the order in which they were added. */
  poll(onFault: OnFault): { readonly [Kind in ProbeKind]: Polled<ProbeSamples[Kind]> } {
    // Taken in one step: a probe that adds another does not see it asked in this tick.
    const { locality, health, inventory } = this.#lists
    return {
      locality: pollAll('locality', locality, durationSchema, onFault),
      health: pollAll('health', health, nodeHealthSchema, onFault),
      inventory: pollAll('inventory', inventory, inventorySchema, onFault),
    }
  }
}

/** Raised, within the loop, for a synchronous port that answers with a promise. */
export class PromisedAnswerError extends Error {
  override readonly name = 'PromisedAnswerError'
  constructor() {
    super('it answered with a promise, and nobody waits for one here')
  }
}

/**
 * Calls a port that must answer at once. Undefined when it throws, or when it answers with a promise, which is a fault of its,
 * too; what that promise rejects with is caught.
 */
export function callPort<Answer>(port: string, call: () => Answer, onFault: OnFault): Answer | undefined {
  try {
    const answer: unknown = call()
    if (!isThenable(answer)) return answer as Answer
    Promise.resolve(answer).catch(() => {})
    throw new PromisedAnswerError()
  } catch (cause) {
    onFault(port, cause)
    return undefined
  }
}

function pollAll<Sample>(
  kind: ProbeKind,
  probes: readonly Probe<Sample>[],
  schema: v.GenericSchema<unknown, Sample>,
  onFault: OnFault,
): Polled<Sample> {
  const samples: (readonly [NodeId, Sample])[] = []
  let hasFailed = false
  for (const probe of probes) {
    const port = `${kind} probe${typeof probe.name === 'string' ? ` ${probe.name}` : ''}`
    // Copied within the guard: what it answers with may be anything.
    const found = callPort(port, () => checkedSamples(probe.sample(), schema), onFault)
    if (found === undefined) hasFailed = true
    else samples.push(...found)
  }
  return { samples, hasFailed }
}

/** What is none of what its type says is a fault of the probe, all that it said included. */
function checkedSamples<Sample>(
  answer: readonly (readonly [NodeId, Sample])[],
  schema: v.GenericSchema<unknown, Sample>,
): (readonly [NodeId, Sample])[] {
  if (isThenable(answer)) return answer as never
  return Array.from(
    answer,
    ([peer, sample]) =>
      [decode(nodeIdSchema, peer, 'peer of a probe'), decode(schema, sample, 'sample of a probe')] as const,
  )
}

function isThenable(value: unknown): boolean {
  try {
    return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  } catch {
    return false
  }
}
