import { StatewardError } from '../base/errors.js'

/** Data of every error of the inspector, by code. */
export interface InspectorErrorData {
  /** The optional peer dependency that brings the WebSocket client is not installed. */
  inspector_unavailable: { readonly package: string }
  /** The inspector was stopped before it was connected, or is started again. */
  inspector_stopped: Record<string, never>
}

/** Stable code of an {@link InspectorError}. */
export type InspectorErrorCode = keyof InspectorErrorData

/** Raised by the inspector itself; never by handing it an event. */
export class InspectorError<Code extends InspectorErrorCode = InspectorErrorCode> extends StatewardError<
  Code,
  InspectorErrorData[Code]
> {
  override readonly name = 'InspectorError'
}
