import type { ProcessDefinition } from './definition.js'
import { ProcessError } from './errors.js'
import type { ExecutionEnvRef } from './registration.js'

/** The definitions that a host can run, by environment and by kind. */
export class Definitions {
  readonly #byEnvironment = new Map<ExecutionEnvRef, ProcessDefinition>()
  readonly #byKind = new Map<string, ProcessDefinition>()

  /**
   * Several versions of one kind may coexist; the kind alone refers to the last one added. Raises
   * `process.kind_defined`.
   */
  add(definition: ProcessDefinition): void {
    const { kind, envRef } = definition
    if (this.#byEnvironment.has(envRef)) throw new ProcessError('process.kind_defined', { kind })
    this.#byEnvironment.set(envRef, definition)
    this.#byKind.set(kind, definition)
  }

  inEnvironment(envRef: ExecutionEnvRef | undefined): ProcessDefinition | undefined {
    return envRef === undefined ? undefined : this.#byEnvironment.get(envRef)
  }

  /** Raises `process.kind_unknown`. */
  ofKind(kind: string): ProcessDefinition {
    const definition = this.#byKind.get(kind)
    if (definition === undefined) throw new ProcessError('process.kind_unknown', { kind })
    return definition
  }
}
