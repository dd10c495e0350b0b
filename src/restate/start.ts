import type { JsonValue } from '../base/json.js'
import type { ProcessDefinition, ProcessId } from '../processes/index.js'
import type { StartRequest } from './wire.js'

/** What a process of a definition is started with; `input` is encoded. */
export function startRequestOf(
  { kind, envRef, options }: ProcessDefinition,
  id: ProcessId,
  input: JsonValue | undefined,
): StartRequest {
  const { disposition, maxAttempts } = options
  return {
    id,
    kind,
    envRef,
    disposition,
    ...(input !== undefined && { input }),
    ...(maxAttempts !== undefined && { maxAttempts }),
  }
}
