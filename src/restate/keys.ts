import type { OperationId, SessionId } from '../../machines/index.js'

/** Where an operation is: ids of operations are unique within their session only. */
export interface OperationPlace {
  readonly sessionId: SessionId
  readonly operationId: OperationId
}

/** The key of the run of an operation. Both ids are encoded without slashes, so keys are unique. */
export function runKeyOf({ sessionId, operationId }: OperationPlace): string {
  return `${encodeURIComponent(sessionId)}/${encodeURIComponent(operationId)}`
}

/** The operation that a run key stands for. */
export function placeOfRun(key: string): OperationPlace {
  const [sessionId = '', operationId = ''] = key.split('/').map((part) => decodeURIComponent(part))
  return { sessionId: sessionId as SessionId, operationId: operationId as OperationId }
}

/** The key of something that belongs to one row of an object. Ids are encoded without slashes, so keys are unique. */
export function keyOf(what: string, id: string, part: string | number): string {
  return `${what}/${encodeURIComponent(id)}/${part}`
}

/** The kinds of state that a row leaves in its object in addition to itself. */
const belongings: ReadonlySet<string> = new Set(['begun', 'event', 'replay', 'signal', 'lease', 'grants', 'acks'])

/** The encoded id of the row that a key belongs to. `undefined` for any other key. */
export function ownerOfKey(key: string): string | undefined {
  const [what = '', id] = key.split('/')
  return belongings.has(what) ? id : undefined
}
