import { StatewardError } from '../base/errors.js'

/** The data of every error of the inspector, by code. */
export interface InspectorErrorData {
  /** The optional peer dependency that contains the WebSocket client is not installed. */
  inspector_unavailable: { readonly package: string }
  /** The inspector was stopped before it was connected, or was started again after a stop. */
  inspector_stopped: Record<string, never>
}

/** The code of an {@link InspectorError}. */
export type InspectorErrorCode = keyof InspectorErrorData

/** Raised by the inspector itself, but never for an event that is passed to it. */
export class InspectorError<Code extends InspectorErrorCode = InspectorErrorCode> extends StatewardError<
  Code,
  InspectorErrorData[Code]
> {
  override readonly name = 'InspectorError'
}
