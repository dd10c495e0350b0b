import type { JsonValue } from '../base/json.js'
import type { ProcessDefinition, ProcessId } from '../processes/index.js'
import { checkSize } from '../processes/scalars.js'
import type { StartRequest } from './wire.js'

/**
 * The start request for a process of a definition. `input` is encoded already. Raises `invalid_input` if it is too
 * large.
 */
export function startRequestOf(
  { kind, envRef, options, eventTypes }: ProcessDefinition,
  id: ProcessId,
  input: JsonValue | undefined,
): StartRequest {
  const { disposition, maxAttempts } = options
  if (input !== undefined) checkSize(input, `input of ${kind}`, 'input')
  return {
    id,
    kind,
    envRef,
    disposition,
    eventTypes,
    ...(input !== undefined && { input }),
    ...(maxAttempts !== undefined && { maxAttempts }),
  }
}
