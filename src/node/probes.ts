import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { durationSchema, portSchema } from '../base/options.js'
import { nodeIdSchema, type NodeId } from './ids.js'
import { inventorySchema, type PeerInventory } from './inventory.js'
import { nodeHealthSchema, type NodeHealth } from './vocabulary.js'

/**
 * A probe that is called in every tick; it must be quick and synchronous, and report nothing about this node itself.
 */
export interface Probe<Sample> {
  /** The name in the log. */
  readonly name?: string
  sample(): readonly (readonly [NodeId, Sample])[]
}

/** Reports the round-trip times to peers, in milliseconds. */
export type LocalityProbe = Probe<number>
/** Reports the health of peers. */
export type HealthProbe = Probe<NodeHealth>
/**
 * Reports the inventories of peers. If several probes report a peer in one tick, each field has the value of the last
 * probe that knows it.
 */
export type InventoryProbe = Probe<PeerInventory>

/** The kinds of probes and their samples. */
export interface ProbeSamples {
  readonly locality: number
  readonly health: NodeHealth
  readonly inventory: PeerInventory
}

/** A kind of probe. */
export type ProbeKind = keyof ProbeSamples

/** The samples of all probes of one kind in one tick. */
export interface Polled<Sample> {
  readonly samples: readonly (readonly [NodeId, Sample])[]
  /** A probe threw or returned a promise. */
  readonly hasFailed: boolean
}

/** Called when a port has thrown, or returned a promise where a value was required. */
export type OnFault = (port: string, cause: unknown) => void

const kindSchema: v.GenericSchema<unknown, ProbeKind> = v.picklist(['locality', 'health', 'inventory'])
const probeSchema = portSchema<Probe<unknown>>(['sample'])

type Lists = { [Kind in ProbeKind]: readonly Probe<ProbeSamples[Kind]>[] }

/**
 * The probes of a node. They can be added and removed at any time; changes made during a poll take effect with the next
 * tick. A probe that fails contributes nothing in that tick, and the others are still called (N-420).
 */
export class ProbeRegistry {
  #lists: Lists = { locality: [], health: [], inventory: [] }

  /** Adds a probe, to be called after the existing ones. Raises `invalid_input`. */
  add<Kind extends ProbeKind>(kind: Kind, probe: Probe<ProbeSamples[Kind]>): void {
    decode(kindSchema, kind, 'kind of a probe')
    decode(probeSchema, probe, `${kind} probe`)
    this.#lists = { ...this.#lists, [kind]: [...this.#lists[kind], probe] }
  }

  /** Removes all probes of one kind. Their last samples are kept until others replace them. */
  clear(kind: ProbeKind): void {
    decode(kindSchema, kind, 'kind of a probe')
    this.#lists = { ...this.#lists, [kind]: [] }
  }

  /** The number of probes of each kind. */
  counts(): Readonly<Record<ProbeKind, number>> {
    const { locality, health, inventory } = this.#lists
    return { locality: locality.length, health: health.length, inventory: inventory.length }
  }

  /** Calls every probe once, in the order they were added. */
  poll(onFault: OnFault): { readonly [Kind in ProbeKind]: Polled<ProbeSamples[Kind]> } {
    // Copied first: a probe that adds another does not see it called in this tick.
    const { locality, health, inventory } = this.#lists
    return {
      locality: pollAll('locality', locality, durationSchema, onFault),
      health: pollAll('health', health, nodeHealthSchema, onFault),
      inventory: pollAll('inventory', inventory, inventorySchema, onFault),
    }
  }
}

/** Raised, within the loop, when a synchronous port returns a promise. */
export class PromisedAnswerError extends Error {
  override readonly name = 'PromisedAnswerError'
  constructor() {
    super('it answered with a promise, and nobody waits for one here')
  }
}

/**
 * Calls a port that must answer synchronously. Returns `undefined` when it throws or returns a promise; the latter
 * counts as a fault too, and its rejection is handled.
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
    // Copied within the guard, because the answer may be anything.
    const found = callPort(port, () => checkedSamples(probe.sample(), schema), onFault)
    if (found === undefined) hasFailed = true
    else samples.push(...found)
  }
  return { samples, hasFailed }
}

/** A sample that does not fit its type is a fault of the probe, and discards all its samples. */
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
