import type { RuntimeOptions } from './runtime-options.js'
import { createRuntime as openRuntime, type OpenInspector, type Runtime } from './runtime.js'

/** Imports the inspector on demand, because most services never serve one. */
const openInspector: OpenInspector = async (...given) => {
  const served = await import('./inspect/server/serve.js')
  return served.openInspector(...given)
}

/**
 * Opens a runtime: recovers what the journal holds, then accepts work. Rejects with `invalid_input` for an invalid
 * option or a clock that breaks its contract, with the errors of the journal (`journal_locked`, `journal_corrupt`,
 * ...), with the errors of records that contradict each other and, if `inspect` asks for an inspector, with the
 * system's error if the port is taken.
 */
export function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  return openRuntime(options, openInspector)
}
