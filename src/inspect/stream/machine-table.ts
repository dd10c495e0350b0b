import type { AnyStateMachine } from 'xstate'
import { chartGraph } from './chart-graph.js'
import type { MachineDefinition } from './protocol.js'

/** Charts that are remembered at most: a service has some, not thousands. */
const mostMachines = 1000
/** UTF-16 units of all charts that were told of as data. */
const mostCharacters = 16 * 1024 * 1024

/** The charts that actors have been seen with, and those that move rows. */
export class MachineTable {
  /** By what was written: copies of a machine share it. */
  readonly #ids = new WeakMap<object, string>()
  readonly #machines = new Map<string, { readonly machine: AnyStateMachine; graph: MachineDefinition | undefined }>()
  readonly #given = new Map<string, MachineDefinition>()
  #characters = 0

  constructor(machines: readonly AnyStateMachine[] = []) {
    for (const machine of machines) this.idOf(machine)
  }

  /** The id under which a chart is known from now on; two charts that were given the same id are told apart. */
  idOf(machine: AnyStateMachine): string | undefined {
    const { config } = machine
    const known = this.#ids.get(config)
    if (known !== undefined || this.#machines.size >= mostMachines) return known
    let id = machine.id
    for (let number = 2; this.#machines.has(id); number += 1) id = `${machine.id} (${number})`
    this.#ids.set(config, id)
    this.#machines.set(id, { machine, graph: undefined })
    return id
  }

  /** Takes a chart that was told of as plain data. */
  add(definition: MachineDefinition): void {
    const characters = JSON.stringify(definition).length
    if (this.#given.size >= mostMachines || this.#characters + characters > mostCharacters) return
    this.#characters += characters
    this.#given.set(definition.id, definition)
  }

  get ids(): readonly string[] {
    return [...this.#machines.keys(), ...this.#given.keys()]
  }

  /** A chart as a graph; made when it is first asked for. */
  graph(id: string): MachineDefinition | undefined {
    const known = this.#machines.get(id)
    if (known === undefined) return this.#given.get(id)
    known.graph ??= chartGraph(known.machine, id)
    return known.graph
  }
}
