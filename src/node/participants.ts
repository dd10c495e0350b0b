import { decode } from '../base/decode.js'
import { portSchema } from '../base/options.js'
import type { Participant } from './loop-ports.js'
import { callPort, type OnFault } from './probes.js'
import { labelSchema } from './scalars.js'

const participantSchema = portSchema<Participant>(['isIdle'])

/** The parts of the process that a drain waits for, and the last answer of each. */
export class Participants {
  readonly #known = new Map<string, { readonly participant: Participant; reported?: boolean }>()

  /** Adds one, or replaces the one of the same name. Raises `invalid_input`. */
  add(participant: Participant): void {
    decode(participantSchema, participant, 'participant')
    decode(labelSchema, participant.name, 'name of a participant')
    this.#known.set(participant.name, { participant })
  }

  /** Asks all of them, and reports the answers that have changed. */
  ask(report: (participant: string, isIdle: boolean) => void, onFault: OnFault): void {
    for (const [name, known] of this.#known) {
      // A participant that cannot answer counts as busy, so that a drain does not pass it over.
      const isIdle = callPort(`participant ${name}`, () => known.participant.isIdle(), onFault) === true
      if (known.reported === isIdle) continue
      known.reported = isIdle
      report(name, isIdle)
    }
  }
}
