import type { RuntimeOptions } from './runtime-options.js'
import { createRuntime as openRuntime, type OpenInspector, type Runtime } from './runtime.js'

/** Read when somebody wants it: most services never serve an inspector. */
const openInspector: OpenInspector = async (...given) => {
  const served = await import('./inspect/server/serve.js')
  return served.openInspector(...given)
}

/**
 * Opens a runtime: reads back what the journal holds, then takes work. Rejects with `invalid_input` for a wrong option
 * or a clock that breaks its contract, with the errors of the journal (`journal_locked`, `journal_corrupt`, ...), with
 * those of records that contradict each other, and, where `inspect` asks for an inspector, with the error of the system when
 * its port is taken.
 */
export function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  return openRuntime(options, openInspector)
}
