import type { AnyStateMachine } from 'xstate'
import { chartGraph } from './chart-graph.js'
import type { MachineDefinition } from './protocol.js'

/** The maximum number of remembered charts; a service has a few, not thousands. */
const mostMachines = 1000
/** Maximum total length of the charts received as data, in UTF-16 units. */
const mostCharacters = 16 * 1024 * 1024

/** The charts of all actors seen so far, and those of rows. */
export class MachineTable {
  /** By definition object, which copies of a machine share. */
  readonly #ids = new WeakMap<object, string>()
  readonly #machines = new Map<string, { readonly machine: AnyStateMachine; graph: MachineDefinition | undefined }>()
  readonly #given = new Map<string, MachineDefinition>()
  #characters = 0

  constructor(machines: readonly AnyStateMachine[] = []) {
    for (const machine of machines) this.idOf(machine)
  }

  /** The id of a chart from now on; charts with equal ids are distinguished. */
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

  /** Adds a chart that was received as plain data. */
  add(definition: MachineDefinition): void {
    const characters = JSON.stringify(definition).length
    if (this.#given.size >= mostMachines || this.#characters + characters > mostCharacters) return
    this.#characters += characters
    this.#given.set(definition.id, definition)
  }

  get ids(): readonly string[] {
    return [...this.#machines.keys(), ...this.#given.keys()]
  }

  /** A chart as a graph, made on first use. */
  graph(id: string): MachineDefinition | undefined {
    const known = this.#machines.get(id)
    if (known === undefined) return this.#given.get(id)
    known.graph ??= chartGraph(known.machine, id)
    return known.graph
  }
}
