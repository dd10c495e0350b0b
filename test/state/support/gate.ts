import * as v from 'valibot'
import { Catalogue, type EventOf } from '../../../src/state/catalogue.js'
import { eventDefiner } from '../../../src/state/event.js'
import { EventLog } from '../../../src/state/log.js'
import { rowDefiner } from '../../../src/state/row.js'
import { SequenceCounter } from '../../../src/state/sequence.js'

/**
 * A room that moves its state by itself: a gate at which visitors knock, which is noted, and are let in, which counts once it is
 * durable. Nothing in it can be applied twice without being seen.
 */
export class GateState {
  readonly sequence = new SequenceCounter()
  /** Names the history; another one begins with another name. */
  name: string | undefined
  knocks: number[] = []
  admitted: number[] = []
}

const defineEvent = eventDefiner<GateState, GateState>()
const defineRow = rowDefiner<GateState, GateState>()

const gateOpened = defineEvent('gate_opened', {
  fields: { name: v.string() },
  isNoted: true,
  begins: (gate, { name }) => gate.name !== name,
  evolve: ({ tables }, { name }) => Object.assign(tables, { name, knocks: [], admitted: [] }),
})

const knocked = defineEvent('knocked', {
  fields: { visitor: v.number() },
  isNoted: true,
  evolve: ({ tables }, { visitor }) => void tables.knocks.push(visitor),
})

const admitted = defineEvent('admitted', {
  fields: { visitor: v.number() },
  evolve: ({ tables }, { visitor }) => void tables.admitted.push(visitor),
})

const gateRow = defineRow('gate', {
  fields: { name: v.string(), knocks: v.array(v.number()), admitted: v.array(v.number()) },
  capture: ({ name, knocks, admitted: within }) =>
    name === undefined ? [] : [{ name, knocks: [...knocks], admitted: [...within] }],
  restore: ({ tables }, row) => void Object.assign(tables, row),
})

type GateEvent = EventOf<typeof gateOpened | typeof knocked | typeof admitted>

const catalogue = new Catalogue<GateState, GateState, GateEvent, never>({
  subject: 'gate',
  events: [gateOpened, knocked, admitted],
  rows: [gateRow],
})

/** A gate before a journal is read, and what can be done at it. */
export function createGate() {
  const state = new GateState()
  const log = new EventLog<GateState, GateState, GateEvent>({ name: 'gate', catalogue, tables: state, view: state })
  return {
    state,
    log,
    /** Another history begins in the same stream, as when something is deleted and made anew. */
    begin: (name: string): void => {
      Object.assign(state, { name, knocks: [], admitted: [] })
      log.note((sequence) => gateOpened.create(sequence, { name }))
    },
    knock: (visitor: number): void => {
      state.knocks.push(visitor)
      log.note((sequence) => knocked.create(sequence, { visitor }))
    },
    /** The decision to let these in together. */
    admission: (visitors: readonly number[]) =>
      log.stage({
        events: () => visitors.map((visitor) => (sequence: number) => admitted.create(sequence, { visitor })),
        commit: () => void state.admitted.push(...visitors),
        discard: () => {},
      }),
  }
}
